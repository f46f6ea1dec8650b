"""A job, or each run of a grid, planned and not run."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from undertext.activations.errors import UserError
from undertext.core.grid import Grid
from undertext.core.plan import Plan, Planned, planning, weighing
from undertext.core.plan_lines import lines_of, smaller_lines, sum_lines


def dry_run(call: Callable[..., Any], given: Any, grid: Grid[Any] | None, say: Callable[[str], None]) -> int:
    """Print the plan of a job, or of each run of a grid and their sum, and give the exit code.

    `call` runs the job with a config. A run of a grid that cannot be planned is said to fail, and the code is
    then 1. Raises UserError where the job alone, or every run, cannot be planned.
    """
    if grid is None:
        _say_plans(plans_of(partial(call, given)), say)
        return 0
    plans: list[Plan] = []
    failed: list[UserError] = []
    for i, run in enumerate(grid.runs):
        title = f"{i + 1} of {len(grid.runs)}, {run.name}"
        try:
            own = plans_of(partial(call, run.config))
        except UserError as error:
            failed.append(error)
            say(f"{title}: failed: {error}")
        else:
            say(f"{title}:")
            _say_plans(own, say)
            plans += own
        say("")
        gc.collect()  # so that the checkpoints are gone before the next are loaded
    if not plans:
        raise UserError(f"no run of the grid can be planned: {failed[0]}")
    for line in sum_lines(plans):
        say(line)
    return 1 if failed else 0


def say_together(
    plans: Sequence[Plan],
    say: Callable[[str], None],
    *,
    smaller: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Print plans of one command that makes several runs, and what they come to together; which other
    settings would take less, with their share of the time, and notes.

    Of plans that share their works the first is printed, and the others are named.
    """
    whole: dict[int, list[Plan]] = {}
    for plan in plans:
        whole.setdefault(id(plan.works), []).append(plan)
    for first, *others in whole.values():
        for line in lines_of(first):
            say(line)
        if others:
            say(f"the same, and counted in the sum: {', '.join(each.job for each in others)}")
        if len(plans) > 1:
            say("")
    together = sum_lines(plans) if len(plans) > 1 else []
    for line in [*together, *smaller_lines(smaller or {}), *(f"note: {note}" for note in notes)]:
        say(line)


def plans_of(call: Callable[[], Any], *, smaller: bool = True) -> list[Plan]:
    """The plans that a call of a job stops with; `smaller` says whether they weigh smaller settings."""
    with _set(planning, True), _set(weighing, smaller):
        try:
            call()
        except Planned as planned:
            return planned.plans
    raise RuntimeError("a job that was only to be planned came to its end")


@contextmanager
def _set(variable: ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _say_plans(plans: list[Plan], say: Callable[[str], None]) -> None:
    for i, plan in enumerate(plans):
        for line in [*([""] if i else []), *lines_of(plan)]:
            say(line)
    if len(plans) > 1:
        for line in ["", *sum_lines(plans)]:
            say(line)
