"""Interrupted anywhere, a long command ends in one line and leaves nothing by halves; again, it goes on."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import undertext.activations.pair
import undertext.jobs.steer.job
import undertext.measures.recovery.parts
import undertext.steering.sweep_runner
from undertext.activations.store import disk
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.write import write_task

BATCH = 16


@pytest.fixture(autouse=True)
def handlers():
    """What the command line does to the signals is undone: it leaves them ignored when it was interrupted."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def job(untrained, tmp_path) -> list[str]:
    write_task(new_chain(3, train=8, dev=4, test=6, ood=0), tmp_path / "task")
    options = {
        "checkpoint": untrained / "a", "stronger": untrained / "b", "task": tmp_path / "task",
        "search-problems": 4, "vector-problems": 4, "doses": 1, "random-directions": 1, "layers": 1,
        "threads": 1, "batch-size": BATCH, "out": tmp_path / "out",
    }  # fmt: skip
    return ["steer", *(str(part) for name, value in options.items() for part in (f"--{name}", value))]


def interrupting(module: Any, name: str, call: int, number: signal.Signals, monkeypatch) -> None:
    """Raise a signal at this call of a function, from 0."""
    whole, calls = getattr(module, name), list[int]()

    def spied(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call + 1:
            signal.raise_signal(number)
        return whole(*args, **options)

    monkeypatch.setattr(module, name, spied)


def counted(monkeypatch) -> list[int]:
    """How many rows every call that came to its end has written."""
    written, rows = vars(undertext.steering.sweep_runner)["generate"], list[int]()

    def spied(checkpoint: Any, prompts: Any, **options: Any) -> Any:
        out = written(checkpoint, prompts, **options)
        rows.append(len(prompts))
        return out

    monkeypatch.setattr(undertext.steering.sweep_runner, "generate", spied)
    return rows


def whole(folder: Path) -> None:
    """Nothing under a folder is half of a file."""
    for path in folder.rglob("*"):
        assert not path.name.endswith(".tmp"), path
        assert not path.name.startswith(".undertext-"), path
        if path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                json.loads(line)


# One after another, each in a later part of the job: while it loads, before anything is kept, between batches
# of the search, while a part of rows is written, and on the split.
MOMENTS: list[tuple[Any, str, int, signal.Signals]] = [
    (undertext.activations.pair, "load_checkpoint", 1, signal.SIGINT),
    (undertext.steering.sweep_runner, "generate", 0, signal.SIGINT),
    (undertext.steering.sweep_runner, "generate", 2, signal.SIGTERM),
    (disk, "_write_synced", 1, signal.SIGINT),
    (undertext.measures.recovery.parts, "recover", 0, signal.SIGINT),
    (undertext.jobs.steer.job, "recovery_row", 0, signal.SIGTERM),
]


@pytest.mark.slow
def test_steer_interrupted_at_one_moment_after_another_ends_as_if_it_had_not_been(
    cli, job, tmp_path, monkeypatch
):
    plain = [*job[:-1], str(tmp_path / "plain")]
    with monkeypatch.context() as patch:
        rows = counted(patch)
        assert cli(*plain)[0] == 0
    again = list[list[int]]()
    for module, name, call, number in MOMENTS:
        with monkeypatch.context() as patch:
            again.append(counted(patch))
            interrupting(module, name, call, number, patch)
            code, _, errors = cli(*job)
        assert code == 2, (name, errors)
        assert errors.splitlines() == ["undertext: interrupted; what was not finished was not written"], name
        whole(tmp_path / "out")
        assert not (tmp_path / "out" / "result.json").exists()
    with monkeypatch.context() as patch:
        again.append(counted(patch))
        assert cli(*job)[0] == 0
    # The batch that was being written is run again, and no other.
    assert sum(rows) <= sum(map(sum, again)) <= sum(rows) + BATCH
    assert sum(map(bool, map(sum, again))) > 2, "hardly any part had rows to do"
    for name in ("result.json", "tables/sweep.parquet", "tables/recovery.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
