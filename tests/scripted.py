"""Outputs that a test has written: `measure` reads them as if its checkpoints had answered so."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from undertext.activations import Checkpoint
from undertext.jobs.measure import parts
from undertext.measures.answers import Answers, graded
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
