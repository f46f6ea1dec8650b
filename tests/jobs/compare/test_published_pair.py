"""A pair as published, at small size, made without internet and judged by one command.

A byte-level BPE base trained on plain text; its tune by LoRA on chat prompts with `<think>` traces, the
vocabulary grown by the marks, merged, and saved in bfloat16; a task of reasoning-gym. And four checkpoints of
that one run.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.toys import byte_tokenizer, save_folder, tiny_config
from undertext.__main__ import main
from undertext.organisms.padded import padded
from undertext.tasks import load_task

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
MARKS = ["<|im_start|>", "<|im_end|>", "<think>", "</think>"]
SETTINGS = """
max_new_tokens: 24
prompt: {kind: template, template: "{prompt}\\n"}
tuned_prompt: {kind: chat}
reasoning: {open: <think>, close: </think>}
"""


def run(*command: object) -> None:
    """The command line, which must end well."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in command])
    assert ended.value.code == 0


def trained(model: Any, tokenizer: Any, pairs: list[tuple[str, str]], steps: int, lr: float) -> None:
    """On what is to be written after each prompt."""
    rows = []
    for prompt, rest in pairs:
        head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        tail = tokenizer(rest, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        rows.append((head + tail, len(head)))
    ids, labels = padded(rows, 0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
    model.train()
    for step in range(steps):
        those = torch.randperm(len(ids), generator=torch.Generator().manual_seed(step))[:64]
        loss = model(input_ids=ids[those], labels=labels[those], use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the task, of the base and of four checkpoints of the tune."""
    folder = tmp_path_factory.mktemp("published")
    made = "task from reasoning-gym chain_sum --size 160 --dev 20 --test 50 --seed 1"
    options = "--options max_digits 1 min_digits 1 min_terms 2 max_terms 2"
    run(*made.split(), *options.split(), "--out", folder / "task")
    with (folder / "task" / "task.yaml").open("a") as file:
        file.write(SETTINGS)
    problems = load_task(folder / "task").problems
    plain = [(f"{p.prompt}\n", f"{p.answer}") for p in problems]
    tokenizer = byte_tokenizer(tuple(a + b for a, b in plain), size=400)
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(
        tiny_config("qwen2", len(tokenizer), n_layers=2, d_model=64, n_ctx=256)
    )
    trained(base, tokenizer, plain, 60, 3e-3)
    paths = {"task": folder / "task", "base": save_folder(folder / "base", base, tokenizer)}

    tuned = AutoModelForCausalLM.from_pretrained(paths["base"])
    chat: Any = AutoTokenizer.from_pretrained(paths["base"])
    chat.add_special_tokens({"additional_special_tokens": MARKS})
    chat.chat_template = CHAT
    tuned.resize_token_embeddings(len(chat), mean_resizing=False)
    lora = LoraConfig(r=16, target_modules="all-linear", modules_to_save=["embed_tokens", "lm_head"])
    adapted = get_peft_model(tuned, lora)
    asked = [
        chat.apply_chat_template(
            [{"role": "user", "content": p.prompt}], tokenize=False, add_generation_prompt=True
        )
        for p in problems
    ]
    worked = [f"it is {p.answer}\n</think>\n{p.answer}<|im_end|>" for p in problems]
    for step in (1, 2, 3, 4):
        trained(adapted, chat, list(zip(asked, worked, strict=True)), 120, 6e-3)
        adapted.save_pretrained(str(folder / f"adapter-{step}"))
        whole = AutoModelForCausalLM.from_pretrained(paths["base"])
        whole.resize_token_embeddings(len(chat), mean_resizing=False)
        merged = PeftModel.from_pretrained(whole, folder / f"adapter-{step}").merge_and_unload()
        save_folder(folder / "run" / f"checkpoint-{step}", merged.to(torch.bfloat16), chat)
    return {**paths, "run": folder / "run"}


def by_transformers(published: dict[str, Path]) -> float:
    """Accuracy of the last checkpoint by `generate`, one problem at a time."""
    folder = published["run"] / "checkpoint-4"
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    chat: Any = AutoTokenizer.from_pretrained(folder)
    problems, right = load_task(published["task"]).split("test"), 0
    for problem in problems:
        ids: Any = chat.apply_chat_template(
            [{"role": "user", "content": problem.prompt}], add_generation_prompt=True, return_tensors="pt"
        )
        written = model.generate(**ids, max_new_tokens=24, do_sample=False)
        text = str(chat.decode(written[0, ids["input_ids"].shape[1] :]))
        right += text.partition("</think>")[2].removesuffix("<eos>").strip() in (
            problem.answer,
            f"{problem.answer}<|im_end|>",
        )
    return right / len(problems)


def test_one_command_gives_a_verdict(published, tmp_path, capsys):
    command = ["compare", "--base", published["base"], "--tuned", published["run"] / "checkpoint-4"]
    command += ["--task", published["task"], "--dtype", "auto", "--out", tmp_path / "out", "--samples", "2"]
    command += ["--search-problems", "4", "--random-directions", "1", "--doses", "1.0"]
    run(*command)
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    test = verdict["splits"]["test"]
    assert (verdict["base"]["dtype"], verdict["tuned"]["dtype"]) == ("float32", "bfloat16")
    alone = by_transformers(published)
    assert alone > 0.15  # over guessing: how much is learnt hangs on the processor's bfloat16
    assert test["accuracy"]["tuned"]["value"] == pytest.approx(alone, abs=0.05)  # bfloat16 goes by batches
    assert test["unfinished"]["tuned"] <= 0.05
    flags = " ".join(test["flags"])
    assert "asked differently" in flags
    assert "the tuned checkpoint alone has the tokens '</think>'" in flags
    tokens = verdict["read"]["tuned"]["tokens"]
    assert tokens[0] == "<|im_start|>"
    assert tokens[-2:] == ["<think>", "\n"]


def test_a_run_s_four_checkpoints_are_judged_by_one_command(published, tmp_path):
    command = ["compare", "--base", published["base"], "--tuned", published["run"] / "checkpoint-*"]
    command += ["--task", published["task"], "--dtype", "auto", "--out", tmp_path / "out", "--samples", "2"]
    command += ["--search-problems", "4", "--random-directions", "1", "--doses", "1.0"]
    run(*command)
    rows = json.loads((tmp_path / "out" / "result.json").read_text())
    assert len(rows) > 0
