"""Grids on the command line: every run in its folder, what is missing made, nothing else, and one table."""

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

import undertext.core.job
import undertext.core.publish
import undertext.jobs.trace.job
import undertext.measures.trace.lens
from tests.cli.golden import HELPS, SUBCOMMANDS
from tests.killing import Step, killed_at_step
from tests.made_up_task import WEAKER
from tests.reading_task import made_task
from undertext import JoinedRuns, TraceConfig, TraceResult, read_trace
from undertext.activations.errors import UserError
from undertext.core.config import part_of
from undertext.core.grid import read_grid
from undertext.jobs.runs.batch import run_grid
from undertext.jobs.trace.command import TraceCommand


@pytest.fixture
def written(tmp_path, untrained, small_task):
    """Write a config of `trace` that is quick, with a grid."""

    def write(grid: dict[str, list[Any]], **more: Any) -> Path:
        settings = {
            "checkpoint": str(untrained / "a"), "task": str(small_task), "layers": [1], "problems": 4,
            "readers": ["logit_lens"], "threads": 1, **more,
        }  # fmt: skip
        kept = {key: value for key, value in settings.items() if key not in grid}
        (tmp_path / "grid.yaml").write_text(yaml.safe_dump({**kept, "grid": grid}))
        return tmp_path / "grid.yaml"

    return write


@pytest.fixture
def read(monkeypatch) -> list[int]:
    """The number of problems of every reading that is made."""
    made: list[int] = []

    def counted(checkpoint, task, answers, *rest, **options):
        made.append(len(answers.problems))
        return real(checkpoint, task, answers, *rest, **options)

    real = undertext.measures.trace.lens.read_answers
    monkeypatch.setattr(undertext.jobs.trace.job, "read_answers", counted)
    return made


@pytest.mark.slow
def test_a_grid_runs_and_runs_again_what_is_missing(cli, written, read, untrained, tmp_path, contents):
    out = tmp_path / "out"
    grid = {"checkpoint": [str(untrained / name) for name in "ab"], "problems": [4, 6]}
    config = written(grid)
    code, stdout, stderr = cli("trace", "--config", config, "--out", out)
    assert (code, stderr, read) == (0, "", [4, 6, 4, 6])
    names = list(JoinedRuns.load(out).jobs["trace"].runs)
    assert [name.rsplit(",")[1] for name in names] == ["problems=4", "problems=6"] * 2
    assert {path.name for path in out.iterdir() if path.is_dir()} == {*names, "tables", "figures"}
    for i, name in enumerate(names):
        assert f"{i + 1} of 4, {name}: done" in stdout
        assert f"  {name}  " in stdout.split("trace: 4 runs, they differ in checkpoint, config.problems")[1]
        made = json.loads((out / name / "run.json").read_text())["made"]["command"]
        assert made == f"undertext trace --config {config} --out {out}  # {name}"
    assert stdout.endswith(f"report: {out}/report.html\n")

    # The table holds what each run has found.
    table = pq.read_table(out / "tables" / "trace.parquet").to_pylist()
    assert [row["run"] for row in table] == names
    assert [row["config.problems"] for row in table] == [4, 6, 4, 6]
    assert [row["checkpoint"].rpartition("/")[2] for row in table] == ["a", "a", "b", "b"]
    for row in table:
        (lead,) = TraceResult.load(out / row["run"]).by_layer
        assert (row["layer"], row["problems"], row["early"]) == (lead.layer, lead.problems, lead.early)
        assert row["right_when_said"] == lead.right_when_said

    before = {name: contents(out / name) for name in names}
    code, again, _ = cli("trace", "--config", config, "--out", out)
    assert (code, len(read)) == (0, 4)
    assert again.count("finished before") == 4
    assert {name: contents(out / name) for name in names} == before
    assert again.split("trace: 4")[1] == stdout.split("trace: 4")[1]

    shutil.rmtree(out / names[2])
    code, _, _ = cli("trace", "--config", config, "--out", out)
    assert (code, read[4:]) == (0, [4])
    assert JoinedRuns.load(out).jobs["trace"].runs == names

    # A grid that has grown makes what is new.
    code, _, _ = cli("trace", "--config", written({**grid, "problems": [4, 6, 8]}), "--out", out)
    assert (code, read[5:]) == (0, [8, 8])
    assert len(JoinedRuns.load(out).jobs["trace"].runs) == 6


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(cli, written, read, tmp_path, monkeypatch):
    out, config = tmp_path / "out", written({"seed": [0, 1]}, readers=["logit_lens", "probe"])

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(undertext.core.job, "publish", stopped)
        with pytest.raises(KeyboardInterrupt):
            cli("trace", "--config", config, "--out", out)
    assert len(read) == 2
    assert (out / "seed=0" / "parts" / "read").is_dir()
    code, stdout, _ = cli("trace", "--config", config, "--out", out)
    assert (code, len(read)) == (0, 4), "both parts of the first run were kept"
    assert "1 of 2, seed=0: done" in stdout
    assert not (out / "parts").exists()


@pytest.mark.slow
def test_a_run_of_other_settings_in_the_folder_is_no_finished_one(cli, written, read, tmp_path):
    out = tmp_path / "out"
    assert cli("trace", "--config", written({"seed": [0]}), "--out", out)[0] == 0
    config = written({"seed": [0, 1]}, problems=5)
    code, stdout, _ = cli("trace", "--config", config, "--out", out)
    assert code == 1
    assert "seed=0: failed: " in stdout
    assert "config.problems was 4, is 5" in stdout
    assert read == [4, 5]
    assert cli("trace", "--config", config, "--out", out, "--overwrite", "True")[0] == 0
    assert read == [4, 5, 5]


@pytest.mark.slow
def test_one_that_fails_is_reported_and_the_others_go_on(cli, written, tmp_path):
    out = tmp_path / "out"
    config = written({"layers": [[0], [99], [2]]})
    code, stdout, _ = cli("trace", "--config", config, "--out", out)
    assert code == 1
    assert "2 of 3, layers=99: failed: expected layers from 0 to 3, got [99]" in stdout
    assert "layers=99: not joined: expected layers" in stdout
    joined = JoinedRuns.load(out)
    assert list(joined.failed) == ["layers=99"]
    assert joined.jobs["trace"].runs == ["layers=0", "layers=2"]
    assert not (out / "layers=99").exists()
    assert "expected layers from 0 to 3" in (out / "report.html").read_text()


def test_where_all_fail_it_is_a_mistake(cli, written, tmp_path):
    code, _, stderr = cli("trace", "--config", written({"layers": [[98], [99]]}), "--out", tmp_path / "out")
    assert code == 2
    assert stderr.startswith("undertext: no run could be joined: layers=98: expected layers from 0 to 3")


@pytest.mark.slow
def test_a_run_that_cannot_be_saved_is_printed(cli, written, tmp_path, monkeypatch):
    def full(files: Any, out: Path, **options: Any) -> Path:
        if out.name == "seed=0":
            raise UserError("cannot write: No space left on device")
        return real(files, out, **options)

    real = undertext.core.publish.publish
    monkeypatch.setattr(undertext.core.job, "publish", full)
    code, stdout, _ = cli("trace", "--config", written({"seed": [0, 1]}), "--out", tmp_path / "out")
    assert code == 1
    assert "seed=0: logit lens, layer 1: right when said" in stdout
    assert "1 of 2, seed=0: failed: cannot write: No space left on device" in stdout


@pytest.mark.parametrize(
    ("grid", "flags", "said"),
    [
        ({"seed": [0, -1]}, [], "with seed=-1: seed: Input should be greater than or equal to 0, got -1"),
        ({"seed": [0, 1]}, ["--seed", 0], "varies seed in its grid, and --seed is given"),
        ({"seed": [0, 1]}, ["--seed", 1], "varies seed in its grid, and --seed is given"),
        ({"asked_as": ["base", "tuned"]}, ["--asked-as", "tuned"], "and --asked-as is given"),
        ({"seed": [0, 1]}, ["--problems", 0], "problems: Input should be greater than or equal to 1"),
        ({"out": ["a", "b"]}, [], "no setting 'out' that can vary"),
    ],
)
def test_a_mistake_anywhere_in_the_grid_starts_nothing(cli, written, read, tmp_path, grid, flags, said):
    config = written(grid)
    before = sorted(tmp_path.rglob("*"))
    code, stdout, stderr = cli("trace", "--config", config, "--out", tmp_path / "out", *flags)
    assert (code, stdout, stderr.count("\n")) == (2, "", 1), stderr
    assert said in stderr
    assert read == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_flag_over_what_does_not_vary_holds_for_every_run(cli, written, read, tmp_path):
    args = ["--config", written({"seed": [0, 1]}), "--out", tmp_path / "out", "--problems", 3]
    assert cli("trace", *args)[0] == 0
    assert read == [3, 3]


def test_a_folder_that_holds_another_job_is_refused_before_anything_starts(cli, written, read, tmp_path):
    out = tmp_path / "out"
    args = ["--config", written({"seed": [0]}), "--out", out]
    assert cli("trace", *args)[0] == 0
    code, _, stderr = cli("trace", "--config", written({"seed": [0, 1]}), "--out", out / "seed=0")
    assert code == 2
    assert "holds a report of other settings: job was 'trace', is 'report'" in stderr
    assert read == [4]


def test_a_job_that_may_do_without_a_folder_needs_one_for_a_grid(
    cli, written, untrained, small_task, tmp_path
):
    (tmp_path / "r.yaml").write_text(
        f"checkpoint: {untrained}/a\nstronger: {untrained}/b\ntask: {small_task}\ngrid:\n  seed: [0, 1]\n"
    )
    code, _, stderr = cli("routes", "--config", tmp_path / "r.yaml")
    assert (code, stderr.count("\n")) == (2, 1)
    assert "expected --out: each run of a grid is written to a folder of its own" in stderr


COMMANDS = [command for command in HELPS if command not in ("", "task from", *SUBCOMMANDS)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_reads_a_config_and_names_it_where_it_is_wrong(cli, command, tmp_path):
    (tmp_path / "mine.yaml").write_text("seeeed: 1\n")
    named = {"task new": ["chain"], "task check": ["zoo:chain"], "zoo build": ["base"]}.get(command, [])
    named = ["SOURCE"] if command.startswith("task from ") else named
    code, stdout, stderr = cli(*command.split(), *named, "--config", tmp_path / "mine.yaml")
    assert (code, stdout) == (2, "")
    assert stderr.startswith(f"undertext: {tmp_path}/mine.yaml: unknown key 'seeeed' (valid: "), stderr


@pytest.mark.slow
def test_a_run_of_which_something_failed_is_tried_again(cli, untrained, small_task, tmp_path):
    """Of several checkpoints, one that could not be read and then can."""
    out, late = tmp_path / "out", tmp_path / "late"
    (tmp_path / "grid.yaml").write_text(
        yaml.safe_dump(
            {
                "base": str(untrained / "a"), "tuned": [str(untrained / "b"), str(late)], "samples": 1,
                "task": str(small_task), "splits": ["test"], "threads": 1, "grid": {"seed": [0]},
            }
        )
    )  # fmt: skip
    code, stdout, _ = cli("compare", "--config", tmp_path / "grid.yaml", "--out", out)
    assert (code, "1 of 1, seed=0: done" in stdout) == (1, True)
    shutil.copytree(untrained / "b", late)
    code, stdout, _ = cli("compare", "--config", tmp_path / "grid.yaml", "--out", out)
    assert (code, "1 of 1, seed=0: done" in stdout) == (0, True)
    code, stdout, _ = cli("compare", "--config", tmp_path / "grid.yaml", "--out", out)
    assert (code, "1 of 1, seed=0: finished before" in stdout) == (0, True)
    rows = JoinedRuns.load(out).jobs["compare checkpoints"].rows
    assert [row["checkpoint"] for row in rows] == ["b", "late"]


def test_an_input_that_one_combination_lacks_is_asked_for(cli, written, read, untrained, tmp_path):
    config = written({"checkpoint": [str(untrained / "a"), None, str(untrained / "b")]})
    code, _, stderr = cli("trace", "--config", config, "--out", tmp_path / "out")
    assert (code, read) == (2, [])
    assert "expected --checkpoint (as a flag, or as a key of --config FILE)" in stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_killed_at_any_moment_the_grid_ends_as_if_it_had_not_been(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("problems: 6\nthreads: 1\nlayers: [0]\nreaders: [logit_lens]\ngrid:\n  seed: [0, 1, 2]\n")
    task = made_task()

    def go(out: Path) -> None:
        grid = read_grid(TraceCommand, file)
        given = grid.over({**grid.runs[0].config.model_dump(exclude={"seed"}), "out": out})

        def call(config: TraceCommand, **more: Any) -> TraceResult:
            return read_trace(WEAKER, task, config=part_of(TraceConfig, config), **more)

        assert run_grid(given, call, lambda line: None) == 0

    go(tmp_path / "whole")
    whole = JoinedRuns.load(tmp_path / "whole")

    def work(out: Path, done: Step) -> None:
        replace = os.replace

        def replaced(source: Any, target: Any) -> None:
            replace(source, target)
            done()

        vars(os)["replace"] = replaced  # in the copy of this process alone
        go(out)

    for step in (1, 7, 14, 20):
        out = tmp_path / str(step)
        killed_at_step(partial(work, out), step)
        go(out)
        found = JoinedRuns.load(out)
        assert found.summary == whole.summary
        assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}
        assert not [path for path in out.rglob("*") if path.name.endswith((".tmp", ".lock", ".part"))]
