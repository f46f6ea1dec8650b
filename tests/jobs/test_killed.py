"""Jobs killed by SIGKILL at one moment after another end as if they had not been."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.killing import Step, killed_at_step
from tests.made_up_task import STRONGER, WEAKER, two_splits, with_gap
from tests.reading_task import made_task
from tests.trails_task import whole_task
from undertext import (
    CompareConfig,
    MeasureConfig,
    ProbeConfig,
    RoutesConfig,
    SteerConfig,
    TraceConfig,
    compare,
    measure,
    probe,
    read_trace,
    routes,
    steer,
)
from undertext.activations import UserError
from undertext.core.result import Result
from undertext.tasks import Task

QUICK: dict[str, Any] = {
    "doses": (1.0,), "positions": ("last_prompt",), "random_directions": 1, "search_problems": 4,
    "vector_problems": 8, "max_layers": 1, "threads": 1, "batch_size": 16,
}  # fmt: skip
TRAINING: dict[str, Any] = {"budget": 2, "fit_steps": 2, "rlvr_steps": 1, "rlvr_prompts": 2}
READING: dict[str, Any] = {
    "positions": (0,), "layers": (0, 2), "controls": ("control",), "strengths": (0.05,), "draws": 1,
    "transfer": ("checkpoint", "layer"), "threads": 1,
}  # fmt: skip
READ_TASK = made_task()
TRACE_TASK = whole_task()
Job = Callable[..., Result]


def run_steer(out: Path | None, task: Task | None = None, **changes: Any) -> Result:
    config = SteerConfig(**{**QUICK, **changes})
    return steer(WEAKER, task or two_splits(), stronger=STRONGER, config=config, out=out, progress=False)


def run_routes(out: Path | None, task: Task | None = None, **changes: Any) -> Result:
    config = RoutesConfig(**{**QUICK, **TRAINING, **changes})
    return routes(WEAKER, STRONGER, task or two_splits(), config=config, out=out, progress=False)


def run_probe(out: Path | None) -> Result:
    checkpoints = {"base": WEAKER, "tuned": STRONGER}
    return probe(checkpoints, {"made": READ_TASK}, config=ProbeConfig(**READING), out=out, progress=False)


def run_trace(out: Path | None) -> Result:
    config = TraceConfig(layers=(0, 2), readers=("probe", "logit_lens"), problems=8, threads=1)
    return read_trace(WEAKER, READ_TASK, config=config, out=out, progress=False)


def run_measure(out: Path | None) -> Result:
    config = MeasureConfig(problems=6, fit_problems=20, layers=(0,), threads=1, templates=("so {prompt}",))
    return measure(WEAKER, STRONGER, TRACE_TASK, config=config, out=out, progress=False)


def run_compare(out: Path | None, task: Task | None = None, **changes: Any) -> Result:
    exact = with_gap(task or two_splits(), WEAKER, STRONGER)
    config = CompareConfig(**{**QUICK, "samples": 2, **changes})
    return compare(WEAKER, STRONGER, exact, config=config, out=out, progress=False)


JOBS: list[Job] = [run_compare, run_steer, run_routes]
EVERY: dict[Job, int] = {
    run_compare: 16,
    run_steer: 12,
    run_routes: 12,
    run_probe: 9,
    run_trace: 3,
    run_measure: 30,
}
"""How many files each job puts in place, at least, before it draws its report."""


def killed(job: Job, out: Path, step: int, events: int = 0) -> None:
    """Run the job and kill it `events` calls after a file was put in place for the `step`-th time."""

    def work(done: Step) -> None:
        replace = os.replace

        def replaced(source: Any, target: Any) -> None:
            replace(source, target)
            done()

        vars(os)["replace"] = replaced  # in the copy of this process alone
        job(out)

    killed_at_step(work, step, events=events)


def check(job: Job, out: Path, whole: Result) -> None:
    """The job goes on from what is in `out`, and ends with the results of one that was not killed."""
    found = job(out)
    assert found.summary == whole.summary
    assert list(found.tables) == list(whole.tables)
    for name in found.tables:
        assert found.table(name).equals(whole.table(name)), name  # in pandas, where NaN equals NaN
    assert {path.name for path in out.iterdir()} == {
        whole.FILE, "run.json", "report.html", "tables", "figures",
    }  # fmt: skip
    assert not [path for path in out.rglob("*") if path.name.endswith((".tmp", ".lock"))]


@pytest.mark.parametrize(
    "job",
    [pytest.param(job, marks=[pytest.mark.slow] * (job not in (run_compare, run_steer))) for job in EVERY],
)
def test_killed_as_its_parts_come_it_goes_on_from_them(job, tmp_path):
    whole, out = job(None), tmp_path / "out"
    for step in (1, 4, 3):  # while it begins, and then from wherever it is
        killed(job, out, step)
        assert not {path.name for path in out.iterdir()} & {"result.json", "verdict.json"}
    assert list(out.rglob("*.part"))
    check(job, out, whole)


@pytest.mark.slow
@pytest.mark.parametrize("job", EVERY)
def test_killed_at_twelve_random_moments_each_run_ends_alike(job, tmp_path):
    whole, moments = job(None), random.Random(7)
    for kill in range(12):
        out = tmp_path / str(kill)
        killed(job, out, moments.randint(0, EVERY[job]), moments.randint(0, 20_000))
        check(job, out, whole)


@pytest.mark.parametrize("job", JOBS)
def test_a_folder_of_another_job_is_refused_and_left_as_it_is(job, tmp_path):
    out = tmp_path / "out"
    killed(job, out, 3)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    others: dict[str, dict[str, Any]] = {
        r"config\.seed was \d+, is 3": {"seed": 3},
        "task has other content": {"task": two_splits(9)},
    }
    for what, changes in others.items():
        with pytest.raises(UserError, match=f"another config: {what}") as error:
            job(out, **changes)
        assert len(str(error.value).splitlines()) == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_damaged_part_is_named(tmp_path):
    out = tmp_path / "out"
    killed(run_routes, out, 8)
    part = max(out.rglob("*.part"), key=lambda path: path.stat().st_mtime_ns)
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(UserError, match=f"{part.name} cannot be read .*delete it"):
        run_routes(out)
    part.unlink()
    check(run_routes, out, run_routes(None))
