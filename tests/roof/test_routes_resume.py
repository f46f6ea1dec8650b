"""A routes job stopped at any write, by kill or interrupt, goes on and ends with the same tables."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from activations import Checkpoint, Pair, UserError
from tests.probing.conftest import made_task
from tests.toys import save_folder, tiny_model, word_tokenizer
from undertext import Routes, RoutesConfig, routes, routes_run
from undertext.tasks import Task, write_task

QUICK = RoutesConfig(
    doses=(1.0,), positions=("last_prompt",), random_directions=1, search_problems=4, vector_problems=8,
    budget=2, fit_steps=2, rlvr_steps=1, rlvr_prompts=2, max_layers=1, threads=1,
)  # fmt: skip
RUNS = ("cot_decoded", "sampled", "prompted", "fit_bias", "train_vectors", "train_weights")


@pytest.fixture(scope="module")
def pair() -> Pair:
    tokenizer = word_tokenizer()
    models = [tiny_model("llama", len(tokenizer), seed=seed) for seed in (0, 1)]
    return Pair(*(Checkpoint.load(each, tokenizer=tokenizer) for each in models))


def short_task(seed: int) -> Task:
    made = made_task(seed=seed, train=12, dev=6, test=8)
    more = [each.model_copy(update={"id": f"{each.id}-2", "split": "ood"}) for each in made.split("test")]
    return made.model_copy(update={"problems": [*made.problems, *more], "max_new_tokens": 4})


@pytest.fixture(scope="module")
def task() -> Task:
    return short_task(0)


def run(pair: Pair, task: Task, out: Path | None, config: RoutesConfig = QUICK) -> Routes:
    return routes(pair.base, pair.tuned, task, config=config, out=out, progress=False)


@pytest.fixture(scope="module")
def finished(pair, task, tmp_path_factory) -> tuple[Routes, Path]:
    out = tmp_path_factory.mktemp("finished") / "out"
    return run(pair, task, out), out


@pytest.fixture(scope="module")
def whole(finished) -> Routes:
    return finished[0]


def same(one: Routes, other: Routes) -> bool:
    return one.notes == other.notes and all(
        one.tables[name].to_pandas().equals(other.tables[name].to_pandas()) for name in one.tables
    )


@pytest.fixture
def counted(monkeypatch) -> dict[str, int]:
    """How often each kind of route was run."""
    count = dict.fromkeys(RUNS, 0)
    for name in RUNS:
        run = getattr(routes_run, name)

        def counting(*args, name=name, run=run, **kwargs):
            count[name] += 1
            return run(*args, **kwargs)

        monkeypatch.setattr(routes_run, name, counting)
    return count


class Stopped(BaseException):
    """Like an interrupt: not an Exception."""


def test_stopped_in_any_write_it_goes_on(pair, task, whole, counted, tmp_path, monkeypatch):
    """At every write in turn, in one folder: each call comes a file further, and none is made twice."""
    out, replace, calls, left = tmp_path / "out", os.replace, 0, 0

    def stop_after_two(source: str, target: str) -> None:
        nonlocal left
        left -= "parts" in Path(target).parts
        if left < 0:
            raise Stopped
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_after_two)
    for _ in range(60):
        left, calls = 2, calls + 1  # the job is written down anew each time
        try:
            found = run(pair, task, out)
            break
        except Stopped:
            found = None
            assert not list(out.rglob("*.tmp"))
            assert not (out / "routes.json").exists()
    assert found is not None
    parts = {str(each.relative_to(out / "parts")) for each in (out / "parts").glob("*/*.json")}
    assert len(parts) == 16  # eight groups on two splits
    assert calls >= 16
    for name, count in counted.items():  # what is trained serves both splits, but for a stop in between
        splits = 2 if name in RUNS[:3] else 1
        assert splits <= count <= splits + 2, name
    assert same(found, whole)
    assert pq.read_table(out / "tables" / "routes.parquet").equals(whole.tables["routes"])


def test_a_finished_job_is_read_again(pair, task, finished, counted, tmp_path):
    whole, out = finished[0], shutil.copytree(finished[1], tmp_path / "out")
    written = json.loads((out / "routes.json").read_text())
    assert [row["route"] for row in written["routes"]] == whole.tables["routes"]["route"].to_pylist()
    assert written["unaided"]["ood"]["weaker"]["value"] == whole.unaided["ood"]["weaker"].value
    assert {each.name for each in (out / "figures").iterdir()} == {
        "routes.svg", "routes.png", "agreement.svg", "agreement.png",
    }  # fmt: skip
    damaged = out / "parts" / "ood" / "rlvr.json"
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(UserError, match=r"rlvr\.json is damaged.*remove it"):
        run(pair, task, out)
    damaged.unlink()
    again = run(pair, task, out, QUICK.model_copy(update={"batch_size": 16}))
    assert same(again, whole)
    assert counted == dict.fromkeys(RUNS, 0) | {"train_weights": 1}


def test_another_job_in_the_folder_is_refused(pair, task, finished):
    _, out = finished
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    others = {
        "config": (pair, task, QUICK.model_copy(update={"seed": 3})),
        "checkpoint": (Pair(pair.tuned, pair.tuned), task, QUICK),
        "task": (pair, short_task(5), QUICK),
    }
    for what, (others_pair, other, config) in others.items():
        with pytest.raises(UserError, match=f"another config: {what} was") as error:
            run(others_pair, other, out, config)
        assert len(str(error.value).splitlines()) == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_the_command_goes_on_after_a_signal(pair, task, whole, counted, tmp_path, number):
    folders = [save_folder(tmp_path / str(i), each.model, each.tokenizer) for i, each in enumerate(pair)]
    write_task(task, tmp_path / "task")
    out, config = tmp_path / "out", tmp_path / "job.yaml"
    lines = [f"{key}: {json.dumps(value)}" for key, value in QUICK.model_dump(mode="json").items()]
    ends = [f"checkpoint: {folders[0]}", f"stronger: {folders[1]}", f"task: {tmp_path / 'task'}"]
    config.write_text("\n".join([*lines, *ends]))
    process = subprocess.Popen(
        [sys.executable, "-m", "undertext", "routes", "--config", str(config), "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    first = out / "parts" / "test" / "unaided.json"
    while process.poll() is None and not first.exists():
        time.sleep(0.005)
    process.send_signal(number)
    stderr = process.communicate(timeout=600)[1]
    assert first.exists()
    assert not (out / "routes.json").exists(), "it was over too soon to be stopped"
    if number == signal.SIGINT:
        assert process.returncode == 2
        assert stderr.startswith("undertext: interrupted")
        assert len(stderr.strip().splitlines()) == 1
        assert not list(out.rglob("*.tmp"))
    else:
        assert process.returncode == -number
    found = routes(folders[0], folders[1], tmp_path / "task", config=QUICK, out=out, progress=False)
    assert same(found, whole)
