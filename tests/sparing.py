"""What training and asking really come to, beside a plan: updates of weights, and rows that are asked."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from undertext.core import planner
from undertext.core.plan import Draft, Rates, Work

RATES = Rates(1000.0, {1: 0.01}, 1.0, 4.0, 10, 0.0, learnt=500.0, update=0.1)
"""1,000 tokens a second read, 100 written, ten updates."""


class Spy:
    """Counts from when it is made until its patch is undone."""

    def __init__(self, patch: pytest.MonkeyPatch, module: Any) -> None:
        self.updates, self.rows = 0, 0
        patch.setattr(torch.optim.AdamW, "step", self._counted(torch.optim.AdamW.step))
        patch.setattr(module, "greedy", self._asked(module.greedy))

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **given: Any) -> Any:
            self.updates += 1
            return step(*args, **given)

        return counted

    def _asked(self, greedy: Callable[..., Any]) -> Callable[..., Any]:
        def asked(checkpoint: Any, task: Any, problems: Sequence[Any], **given: Any) -> Any:
            self.rows += len(problems)
            return greedy(checkpoint, task, problems, **given)

        return asked


def works_of(drafts: dict[str, Draft]) -> list[Work]:
    """The works of all kinds of training."""
    return [work for draft in drafts.values() for work in draft.works(None)]


def made_up_rates(patch: pytest.MonkeyPatch) -> None:
    """Plans with `RATES`, which measure nothing."""
    patch.setattr(planner, "measure_rates", lambda trial, works: RATES)
