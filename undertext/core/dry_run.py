"""A job, or each run of a grid, planned and not run."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from undertext.activations.errors import UserError
from undertext.core.grid import Grid
from undertext.core.plan import Plan, Planned, planning
from undertext.core.plan_lines import lines_of, sum_lines


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


def plans_of(call: Callable[[], Any]) -> list[Plan]:
    """The plans that a call of a job stops with."""
    with _planning():
        try:
            call()
        except Planned as planned:
            return planned.plans
    raise RuntimeError("a job that was only to be planned came to its end")


@contextmanager
def _planning() -> Iterator[None]:
    token = planning.set(True)
    try:
        yield
    finally:
        planning.reset(token)


def _say_plans(plans: list[Plan], say: Callable[[str], None]) -> None:
    for i, plan in enumerate(plans):
        for line in [*([""] if i else []), *lines_of(plan)]:
            say(line)
    if len(plans) > 1:
        for line in ["", *sum_lines(plans)]:
            say(line)
