"""A base that was trained on plain prompts, and a tune of grown vocabulary that was trained on chat ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sums import learnt, plain_problems, tokenizer_for, write_by_hand
from undertext import compare
from undertext.activations import Checkpoint
from undertext.jobs.compare.config import CompareConfig

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONFIG: dict[str, Any] = {"search_problems": 4, "doses": (1.0,), "samples": 2, "random_directions": 1}


@pytest.fixture(scope="module")
def pair() -> tuple[Checkpoint, Checkpoint]:
    problems = plain_problems()
    plain, chat = tokenizer_for(problems), tokenizer_for(problems)
    chat.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    chat.chat_template = CHAT
    asked = [
        {
            **each,
            "prompt": chat.apply_chat_template(
                [{"role": "user", "content": each["prompt"]}], tokenize=False, add_generation_prompt=True
            ),
        }
        for each in problems
    ]
    base, tuned = learnt(problems, plain, steps=80), learnt(asked, chat, seed=1, steps=100)
    return Checkpoint.load(base, tokenizer=plain), Checkpoint.load(tuned, tokenizer=chat)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_by_hand(tmp_path_factory.mktemp("chat") / "task", plain_problems(), 4)
    with (folder / "task.yaml").open("a") as file:
        file.write("tuned_prompt: {kind: chat}\n")
    return folder


@pytest.mark.slow
def test_each_is_asked_as_it_was_trained_and_the_page_shows_what_it_read(pair, task, tmp_path):
    found = compare(pair[0], pair[1], task, config=CompareConfig(**CONFIG), out=tmp_path)
    test = found.splits["test"]
    assert min(test.accuracy[role].value for role in ("base", "tuned")) > 0.6
    assert any(
        "asked differently: the base by the plain prompt, the tuned by the chat" in f for f in test.flags
    )
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    problem = verdict["read"]["tuned"]["problem"]
    prompt = next(each["prompt"] for each in plain_problems() if str(each["id"]) == problem)
    wanted = pair[1].tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=True, add_generation_prompt=True, return_dict=False
    )
    assert verdict["read"]["tuned"]["ids"] == wanted
    assert "".join(verdict["read"]["base"]["tokens"]) == prompt
    page = (tmp_path / "report.html").read_text()
    assert page.count("&lt;|im_start|&gt;</span>") == 2


@pytest.mark.slow
def test_the_tune_s_prompt_format_opens_a_base_that_is_shut_without_it(pair, task):
    """The base answers 0 to plain prompts, and rightly to those that its tune is asked by."""
    plain = [problem for problem in plain_problems() if problem["answer"]]
    tokenizer = pair[1].tokenizer
    asked = [
        {
            **each,
            "id": f"chat{each['id']}",
            "prompt": tokenizer.apply_chat_template(
                [{"role": "user", "content": each["prompt"]}], tokenize=False, add_generation_prompt=True
            ),
        }
        for each in plain
    ]
    shut = [{**each, "answer": 0} for each in plain]
    base = Checkpoint.load(learnt([*asked, *shut], tokenizer, steps=250), tokenizer=tokenizer)
    result = compare(base, pair[1], task, config=CompareConfig(**CONFIG, splits=["test"]), progress=False)
    split, line = result.splits["test"], result.splits["test"].line("prompted")
    assert (split.weaker, split.verdict) == ("base", "elicited")
    assert line is not None
    assert line.says == "latent"
    assert "the key asked as the other checkpoint is, chosen on dev" in line.note
    (row,) = (row for row in result.tables["keys"].to_pylist() if row["key"].startswith("asked as the other"))
    assert (row["chosen"], row["access"], row["checkpoint"]) == (True, "none", "base")
    assert row["dev_accuracy"] > 0.8


@pytest.mark.slow
def test_both_can_be_asked_as_the_base(pair, task):
    same = compare(pair[0], pair[1], task, config=CompareConfig(**CONFIG, prompts="same")).splits["test"]
    assert same.accuracy["base"].value > 0.6
    assert same.accuracy["tuned"].value < 0.5
    assert not any("asked differently" in flag for flag in same.flags)
