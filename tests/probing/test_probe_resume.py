"""A job killed at any part, or inside a write, goes on where it was and ends with the same table."""

import json
import os
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.probing.conftest import CONFIG, made_task
from undertext.activations import UserError
from undertext.jobs.probe.job import probe
from undertext.probing import stages

QUICK = CONFIG.model_copy(update={"positions": (0,), "controls": ("control",), "strengths": (0.05,)})
KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
import undertext.activations.store.disk as disk
from tests.probing.conftest import made_task
from tests.probing.test_probe_resume import QUICK
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.jobs.probe.job import probe

left = int(sys.argv[2])
replace = os.replace
def dying(source, target):
    global left
    left -= str(target).endswith((".parquet", ".safetensors"))
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
disk.os.replace = dying
tokenizer = word_tokenizer()
pair = {
    name: Checkpoint.load(tiny_model("llama", len(tokenizer), seed=seed), tokenizer=tokenizer)
    for seed, name in enumerate(("base", "tuned"))
}
probe(pair, {"made": made_task()}, config=QUICK, out=sys.argv[1])
"""


@pytest.fixture(scope="module")
def whole(pair, task):
    return probe(pair, {"made": task}, config=QUICK).table


@pytest.fixture
def counted(monkeypatch):
    """How many parts were measured, by kind."""
    count = {"own": 0, "transported": 0}
    for kind in count:
        measure = getattr(stages, f"read_{kind}")

        def counting(*args, kind=kind, measure=measure):
            count[kind] += 1
            return measure(*args)

        monkeypatch.setattr(stages, f"read_{kind}", counting)
    return count


# Of the six files: base's probes and table, tuned's probes and table, and a table each way.
@pytest.mark.parametrize(("written", "own", "transported"), [(0, 2, 2), (1, 2, 2), (3, 1, 2), (5, 0, 1)])
def test_killed_in_a_write_it_goes_on(pair, task, whole, counted, tmp_path, written, own, transported):
    out = tmp_path / "out"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(written)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (out / "probes.parquet").exists()
    result = probe(pair, {"made": task}, config=QUICK, out=out)
    assert counted == {"own": own, "transported": transported}
    assert result.table.equals(whole)
    assert pq.read_table(out / "probes.parquet").equals(whole)


def test_a_finished_job_is_read_again_and_the_work_settings_may_change(pair, task, whole, counted, tmp_path):
    out = tmp_path / "out"
    probe(pair, {"made": task}, config=QUICK, out=out)
    assert counted == {"own": 2, "transported": 2}
    again = probe(pair, {"made": task}, config=QUICK.model_copy(update={"threads": None}), out=out)
    assert counted == {"own": 2, "transported": 2}
    assert again.table.equals(whole)
    run = json.loads((out / "run.json").read_text())
    assert run["versions"].keys() >= {"python", "torch", "undertext"}
    assert run["checkpoints"] == [[name, each.fingerprint] for name, each in pair.items()]
    assert run["config"]["positions"] == [0]
    assert (out / "figures" / "heatmap-made.svg").is_file()


def test_another_job_in_the_folder_is_refused(pair, task, tmp_path):
    out = tmp_path / "out"
    probe({"base": pair["base"]}, {"made": task}, config=QUICK, out=out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    others = {
        "config": ({"base": pair["base"]}, task, QUICK.model_copy(update={"seed": 3})),
        "checkpoints": ({"base": pair["tuned"]}, task, QUICK),
        "tasks": ({"base": pair["base"]}, made_task(seed=5), QUICK),
    }
    for what, (checkpoints, other_task, config) in others.items():
        with pytest.raises(UserError, match=f"another config: {what} was"):
            probe(checkpoints, {"made": other_task}, config=config, out=out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["made/base.parquet", "made/base.safetensors"])
def test_a_damaged_part_is_named(pair, task, tmp_path, name):
    out = tmp_path / "out"
    probe(pair, {"made": task}, config=QUICK, out=out)
    path = out / "parts" / name
    path.write_bytes(path.read_bytes()[:100])
    for moved in (out / "parts" / "made" / "base").glob("*.parquet"):
        moved.unlink()
    with pytest.raises(UserError, match=f"{path.name} is damaged.*remove it"):
        probe(pair, {"made": task}, config=QUICK, out=out)


def test_two_at_once_are_refused(pair, task, tmp_path):
    from undertext.activations.store.disk import lock_folder

    out = tmp_path / "out"
    probe({"base": pair["base"]}, {"made": task}, config=QUICK, out=out)
    with lock_folder(out / "parts"), pytest.raises(UserError, match="another writer"):
        probe({"base": pair["base"]}, {"made": task}, config=QUICK, out=out)
