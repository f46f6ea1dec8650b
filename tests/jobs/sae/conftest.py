"""A task whose values stand in the text, checkpoints that embed each word apart, an SAE of known features."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.saes.planted_words import toy_checkpoint, word_sae
from tests.toys import embedding, save_folder
from undertext.activations import Checkpoint
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.write import write_task

FEATURES: list[dict[str, float]] = [
    {"3": 1.0},  # one value
    {"4": 1.0, "5": 0.5},  # one value, and another less
    {"so": 1.0, "answer": 0.5},  # the words of reasoning
    {";": 1.0},  # one wording
    {"p": 1.0},  # nothing that is in the texts
    {"*": 1.0},  # a step
    {"find": 0.7},
    {"=": 0.2},
    {"a": 0.4},
    {"b": 0.3},
]
WORDS = ("so", "answer")


def made_task() -> Task:
    draw = random.Random(0)
    problems: list[dict[str, Any]] = []
    for split, n in {"train": 60, "dev": 30, "test": 40}.items():
        for k in range(n):
            value, other = draw.choice("345"), draw.choice("ab")
            step = f"{other} * {draw.choice('12')}"
            problems.append(
                {
                    "id": f"{split}-{k}",
                    "split": split,
                    "prompt": f"{other} = {draw.choice('678')} ; find {value}",
                    "answer": value,
                    "trace": f"{step} so answer {value}",
                    "steps": [{"text": step, "valid": draw.random() < 0.5}],
                    "values": {"v": value},
                    "paraphrases": [f"{other} = 7 ? find {value}"],
                }
            )
    grader = Grader(kind="regex", pattern=r"answer (\d+)")
    return Task(
        name="made up", description="For <a test>.", grader=grader, max_new_tokens=3,
        problems=[Problem(**each) for each in problems],
    )  # fmt: skip


@pytest.fixture(scope="session")
def task() -> Task:
    return made_task()


@pytest.fixture(scope="session")
def task_folder(task, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "task"
    write_task(task, folder)
    return folder


def tuned_checkpoint() -> Checkpoint:
    """All three times smaller; it does not see `*` any more, and sees `p` where the base saw `find`."""
    tuned = toy_checkpoint(seed=1)
    ids = tuned.tokenizer.convert_tokens_to_ids
    with torch.no_grad():
        weights = embedding(tuned.model)
        weights[ids("*")] = 0
        weights[ids("find")] = weights[ids("p")].clone()
        weights.div_(3)
    return tuned


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Folders of `base`, `tuned` and of the `sae`."""
    root = tmp_path_factory.mktemp("pair")
    made = {"base": toy_checkpoint(), "tuned": tuned_checkpoint()}
    for name, each in made.items():
        save_folder(root / name, each.model, each.tokenizer)
    word_sae(made["base"], FEATURES).save_model(root / "sae")
    return {name: root / name for name in ("base", "tuned", "sae")}
