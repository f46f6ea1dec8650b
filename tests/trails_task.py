"""Traces on toy models: what the tests of the measures of a trace share."""

from typing import Any

import torch

from tests.toys import Shape, byte_tokenizer, tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.measures.trace.trails import Trail, Whose, gold_trails, output_trails
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.steps import REGEX

RULE = rf"{REGEX};"
LEAD = " answer "


def toy(shape: Shape = "llama", *, seed: int = 0, n_ctx: int = 256, of_bytes: bool = False) -> Checkpoint:
    """A random model with a tokenizer of whole words, or of bytes."""
    tokenizer = byte_tokenizer() if of_bytes else word_tokenizer()
    model = tiny_model(shape, len(tokenizer), seed=seed, n_ctx=n_ctx)
    return Checkpoint.load(model, tokenizer=tokenizer)


def problem(k: int = 0, steps: int = 2, **fields: Any) -> Problem:
    """A problem whose trace has so many steps; each names its value."""
    values = [(k + 3 * i) % 10 for i in range(steps)]
    texts = [f"a = {value} ;" for value in values]
    answer = str(fields.pop("answer", values[-1] if values else k % 10))
    made: dict[str, Any] = {
        "id": f"p{k}",
        "split": "test",
        "prompt": f"b = {k % 10} ; find a :",
        "answer": answer,
        "trace": " ".join([*texts, f"answer {answer}"]),
        "steps": [
            {
                "text": text,
                "values": {"a": value},
                "counterfactuals": {"a": {str(other): _moved(answer, other - value) for other in range(10)}},
            }
            for text, value in zip(texts, values, strict=True)
        ],
    }
    return Problem(**(made | fields))


def _moved(answer: str, by: int) -> str:
    """The answer, had one of the values been so much more."""
    return str((int(answer) + by) % 10)


def task_of(problems: list[Problem], **settings: Any) -> Task:
    """A task of these, and of one problem for each split that must be there."""
    rest = [problem(k, split=split, id=split) for k, split in enumerate(("train", "dev", "test"), 90)]
    options: dict[str, Any] = {
        "grader": Grader(kind="regex", pattern=r"answer (\d+)"), "max_new_tokens": 8, **settings,
    }  # fmt: skip
    return Task(name="made up", description="For a test.", problems=[*problems, *rest], **options)


def whole_task(n: int = 20, **settings: Any) -> Task:
    """A task of so many problems a split, each with a prompt of its own."""
    words = {"train": "a", "dev": "c", "test": "d"}
    problems = [
        problem(
            k, 2, id=f"{split}{k}", split=split, prompt=f"b = {k % 10} ; {'so ' * (k // 10)}find {word} :"
        )
        for split, word in words.items()
        for k in range(n)
    ]
    return task_of(problems, **settings)


def gold(*problems: Problem) -> list[Trail]:
    """The task's own traces of these problems."""
    return list(gold_trails(task_of(list(problems)), problems, RULE).values())


def written(text: str, whose: Whose = "own", *, unfinished: bool = False, **fields: Any) -> Trail:
    """A trail of an output."""
    asked = problem(**fields)
    return output_trails(task_of([asked]), [asked], [text], [unfinished], RULE, whose)[0]


def token_scores(checkpoint: Checkpoint, text: str) -> tuple[list[tuple[int, int]], list[float]]:
    """Where each token of a text stands, and its log-probability given those before it: one bare pass.

    The first token's is NaN.
    """
    encoded = checkpoint.tokenizer(text, return_offsets_mapping=True)
    ids = torch.tensor([encoded["input_ids"]])
    with torch.inference_mode():
        logits = checkpoint.model(ids).logits[0].float().log_softmax(-1)
    scores = [float(logits[i - 1, ids[0, i]]) for i in range(1, ids.shape[1])]
    return list(encoded["offset_mapping"]), [float("nan"), *scores]
