"""Outputs that a test has written: `measure` takes them as if its checkpoints had answered so."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from undertext.activations import Checkpoint
from undertext.activations.generation import Generations
from undertext.jobs.measure import parts
from undertext.measures.answers import Answers, graded
from undertext.measures.trace import dependence
from undertext.tasks import Problem, Task

Says = Callable[[Checkpoint, Problem], str]
"""What a checkpoint writes; what ends in CUT was cut there."""
CUT = "<cut>"


def scripted(monkeypatch: pytest.MonkeyPatch, says: Says) -> None:
    """Have every checkpoint of `measure` write what `says` says; all that follows is measured as ever."""

    def greedy(checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], **_: Any) -> Answers:
        texts = [says(checkpoint, problem) for problem in problems]
        whole = [text.removesuffix(CUT) for text in texts]
        cut = [text.endswith(CUT) for text in texts]
        return graded(task, problems, whole, [len(text.split()) for text in whole], cut)

    monkeypatch.setattr(parts, "greedy", greedy)


def continuing(monkeypatch: pytest.MonkeyPatch, goes_on: Callable[[str], str]) -> list[str]:
    """Have every checkpoint go on after a changed trace with what `goes_on` makes of all that it reads; the
    texts that were read are gathered in the list that is returned."""
    read: list[str] = []

    def generate(checkpoint: Checkpoint, prompts: Sequence[str], **_: Any) -> Generations:
        read.extend(prompts)
        texts = [goes_on(prompt) for prompt in prompts]
        tokens = [checkpoint.encode([text])[0] for text in texts]
        none = [0] * len(texts)
        return Generations(texts, tokens, none, none, none, [len(ids) + 1 for ids in tokens])

    monkeypatch.setattr(dependence, "generate", generate)
    return read
