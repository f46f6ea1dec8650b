"""A job's plan held against what the job then reads, writes and trains on, stage by stage."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.counting import Counting, count
from tests.sparing import made_up_rates
from undertext.activations import Checkpoint
from undertext.core.dry_run import plans_of
from undertext.core.plan import Plan, Work


def agrees(patch: pytest.MonkeyPatch, job: Callable[..., Any], *checkpoints: Checkpoint) -> Plan:
    """The plan of a job, found to be what the job then does, and no stage of the job without a work."""
    with patch.context() as within:
        made_up_rates(within)  # which smaller settings are worth naming depends on no clock
        (plan,) = plans_of(lambda: job(progress=False))
    with patch.context() as within:
        counted = count(within, *(checkpoint.model for checkpoint in checkpoints))
        job(progress=counted)
    check(plan, counted)
    return plan


def check(plan: Plan, counted: Counting) -> None:
    """Nothing that was counted is more than was planned, and what is planned exactly is as it was counted."""
    works: dict[str, Work] = {work.stage: work for work in plan.works}
    assert len(works) == len(plan.works)
    for stage in counted.read | counted.written:
        assert stage in works
    for stage, work in works.items():
        assert counted.read[stage] <= work.read + work.learnt, stage
        if not work.why and not work.shared:
            assert counted.read[stage] == work.read, stage
        assert counted.written[stage] <= work.written, stage
