"""`undertext probe`: what it writes, and each mistake a user can make: one line, code 2, nothing left."""

import json
from typing import get_args

import pyarrow.parquet as pq
import pytest

from undertext.core.config import read_config
from undertext.core.shipped import config_file
from undertext.jobs.probe.command import ProbeCommand
from undertext.jobs.probe.config import ProbeConfig
from undertext.measures.decoding.config import Across, ProbeKind
from undertext.measures.decoding.table import PROBES


@pytest.fixture
def job(untrained, small_task, tmp_path):
    """A config file, with these keys in place of what is right."""

    def write(**changes: object):
        values: dict[str, object] = {
            "checkpoints": {"a": str(untrained / "a"), "b": str(untrained / "b")},
            "tasks": {"chain": str(small_task)},
            "positions": [0], "layers": [1], "controls": ["control"], "strengths": [0.03], "threads": 1,
        }  # fmt: skip
        path = tmp_path / "job.yaml"
        path.write_text(json.dumps(values | changes))
        return path

    return write


@pytest.fixture
def mistake(cli, job, tmp_path):
    def run(*more: object, **changes: object) -> str:
        config = job(**changes)
        before = sorted(tmp_path.rglob("*"))
        code, stdout, stderr = cli("probe", "--config", config, "--out", tmp_path / "out", *more)
        assert (code, stdout, stderr.count("\n")) == (2, "", 1), stderr
        assert stderr.startswith("undertext: ")
        assert sorted(tmp_path.rglob("*")) == before
        return str(stderr)

    return run


def test_it_writes_its_results(cli, job, tmp_path):
    out = tmp_path / "deep" / "out"
    code, stdout, _ = cli("probe", "--config", job(), "--out", out, "--seed", 4)
    assert code == 0
    assert "2 checkpoints" in stdout
    assert f"report: {out}/report.html" in stdout
    table = pq.read_table(out / "tables" / "probes.parquet")
    assert table.schema == PROBES
    assert set(table["seed"].to_pylist()) == {4}
    assert set(table["checkpoint"].to_pylist()) == {"a", "b"}
    assert json.loads((out / "run.json").read_text())["config"]["seed"] == 4
    assert (out / "figures" / "heatmap-chain.png").is_file()


def test_the_shipped_config_is_the_defaults():
    shipped = read_config(ProbeCommand, config_file("probe_chain.yaml"))
    everywhere = get_args(Across)
    for name, value in ProbeConfig(threads=1, transfer=everywhere).model_dump().items():
        assert getattr(shipped, name) == value, name
    assert set(shipped.checkpoints.values()) == {"zoo:base", "zoo:elicited", "zoo:novice"}


def test_unknown_keys_and_values(mistake):
    assert "unknown key 'layer' (valid: seed" in mistake(layer=[1])
    said = mistake(probes=["magic"])
    assert all(name in said for name in ("probes.0", "'magic'", *get_args(ProbeKind)))
    assert "transfer.0" in mistake(transfer=["width"])
    assert "controls.0" in mistake(controls=["none"])
    assert "mdl needs the probe kind logistic" in mistake(probes=["lda"], measures=["mdl"])
    assert "positions" in mistake(positions=["middle"])
    assert "positions" in mistake(positions=[])
    assert "strengths.0" in mistake(strengths=[0])
    assert "checkpoints" in mistake(checkpoints={"a/b": "zoo:base"})
    assert "tasks" in mistake(tasks=["zoo:chain"])


def test_what_cannot_be_loaded(mistake, untrained, tmp_path):
    assert "there are:" in mistake(checkpoints={"a": "zoo:nonsense"})
    found = mistake(checkpoints={"a": str(untrained / "a"), "b": str(tmp_path / "nowhere")})
    assert f"{tmp_path}/nowhere" in found
    assert "zoo:chain" in mistake(tasks={"a": "zoo:nonsense"})
    assert "task folder" in mistake(tasks={"a": str(tmp_path / "nowhere")})


def test_what_the_models_and_tasks_lack(mistake):
    assert "layers from 0 to 3" in mistake(layers=[7])
    assert "no split 'odd'" in mistake(splits=["odd"])
    assert "transport names checkpoint 'c'" in mistake(transport=[["a", "c"]])
    assert "task chain: no value can be read at 300" in mistake(positions=[300])


def test_what_is_left_out_is_asked_for(cli, tmp_path):
    code, _, stderr = cli("probe", "--out", tmp_path / "out")
    assert (code, stderr.count("\n")) == (2, 1)
    assert "--checkpoints, --tasks (as a flag" in stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written(cli, job, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below", "/proc/undertext"):
        code, _, stderr = cli("probe", "--config", job(), "--out", out)
        assert (code, stderr.count("\n")) == (2, 1)
    assert (tmp_path / "file").read_text() == "mine"
