"""Interrupted anywhere, a long command ends in one line and leaves nothing by halves; called again, it goes on."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import steering.runs
import undertext.report.publish
import undertext.steering_job
from activations.store import disk


@pytest.fixture(autouse=True)
def handlers():
    """What the command line does to the signals is undone: it leaves them ignored when it was interrupted."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def job(untrained, small_task, tmp_path) -> list[str]:
    options = {
        "checkpoint": untrained / "a", "stronger": untrained / "b", "task": small_task, "splits": "test",
        "search-problems": 4, "vector-problems": 4, "doses": 1, "random-directions": 1, "layers": 1,
        "threads": 1, "batch-size": 16, "out": tmp_path / "out",
    }  # fmt: skip
    return ["steer", *(str(part) for name, value in options.items() for part in (f"--{name}", value))]


def interrupting(module: Any, name: str, call: int, number: signal.Signals, monkeypatch) -> list[int]:
    """Raise a signal at this call of a function, from 0; the list grows by 1 with every call."""
    whole, calls = getattr(module, name), list[int]()

    def spied(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call + 1:
            signal.raise_signal(number)
        return whole(*args, **options)

    monkeypatch.setattr(module, name, spied)
    return calls


def whole(folder: Path) -> None:
    """Nothing under a folder is half of a file."""
    for path in folder.rglob("*"):
        assert not path.name.endswith(".tmp"), path
        assert not path.name.startswith(".undertext-"), path
        if path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                json.loads(line)


MOMENTS: list[tuple[Any, str, int, signal.Signals]] = [
    (undertext.steering_job, "loaded", 1, signal.SIGINT),
    (undertext.steering_job, "offered_vectors", 0, signal.SIGTERM),
    (steering.runs, "generate", 0, signal.SIGINT),
    (steering.runs, "generate", 3, signal.SIGTERM),
    (disk, "fsync_folder", 1, signal.SIGINT),
    (undertext.steering_job, "side_effects", 1, signal.SIGINT),
    (undertext.steering_job, "recover", 0, signal.SIGINT),
]


def test_steer_interrupted_at_one_moment_after_another_ends_as_if_it_had_not_been(
    cli, job, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    rows = 0
    for module, name, call, number in MOMENTS:
        if not hasattr(module, name):
            continue
        with monkeypatch.context() as patch:
            generated = interrupting(steering.runs, "generate", -1, number, patch)
            interrupting(module, name, call, number, patch)
            code, said, errors = cli(*job)
            rows += len(generated)
        assert code == 2, (name, said, errors)
        assert errors.splitlines() == ["undertext: interrupted; what was not finished was not written"]
        assert not (out / "steering.json").exists()
        whole(tmp_path)
    assert (out / "kept" / "dev" / "sweep.json").is_file()
