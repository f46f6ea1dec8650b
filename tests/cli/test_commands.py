import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import undertext.core.job
import undertext.core.progress
from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.progress import Progress
from undertext.core.setup import versions
from undertext.core.shipped import organisms
from undertext.jobs.compare.command import CompareCommand


def test_compare_writes_the_report(cli, untrained, small_task, tmp_path):
    out = tmp_path / "deep" / "out"
    code, stdout, _ = cli(
        "compare", "--base", untrained / "a", "--tuned", untrained / "b", "--task", small_task, "--out", out,
        "--splits", "test", "--seed", 5, "--threads", 1,
    )  # fmt: skip
    assert code == 0
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["schema"] == 10
    assert json.loads((out / "run.json").read_text())["config"]["seed"] == 5
    assert list(verdict["splits"]) == ["test"]
    assert verdict["splits"]["test"]["verdict"] in stdout
    for name in ("report.html", "run.json", "tables/problems.parquet", "figures/accuracy.svg"):
        assert (out / name).is_file()


@pytest.mark.slow
def test_flags_override_the_config(cli, untrained, small_task, tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text(
        f"base: {untrained}/a\ntuned: {untrained}/b\ntask: {small_task}\nseed: 4\nthreads: 1\nsamples: 2\n"
    )
    assert cli("compare", "--config", config, "--out", tmp_path / "x", "--seed", 6)[0] == 0
    run = json.loads((tmp_path / "x" / "run.json").read_text())
    assert (run["config"]["seed"], run["config"]["samples"]) == (6, 2)


@pytest.mark.slow
def test_the_same_command_writes_the_same_verdict(cli, tmp_path):
    """On a shipped pair, through every line of evidence."""
    written, task = [], tmp_path / "task"
    few = ["--train", 100, "--dev", 40, "--test", 60, "--ood", 1]
    assert cli("task", "new", "chain", "--out", task, *few)[0] == 0
    for name in ("one", "two"):
        out = tmp_path / name
        args = ["--base", "zoo:base", "--tuned", "zoo:elicited", "--task", task, "--splits", "test"]
        args += ["--threads", 1, "--search", "halving", "--layers", 2, "--random-directions", 1]
        assert cli("compare", *args, "--samples", 2, "--out", out)[0] == 0
        text = (out / "verdict.json").read_text()
        lines = {line["name"] for line in json.loads(text)["splits"]["test"]["evidence"]}
        assert lines >= {"behaviour", "prompted", "prefilled", "continued", "decodable", "recovered"}
        written.append(text)
    assert written[0] == written[1]


def test_task_new_is_the_same_for_a_seed(cli, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        few = ["--train", 20, "--dev", 5, "--test", 5, "--ood", 5]
        assert cli("task", "new", "chain", "--out", tmp_path / name, "--seed", seed, *few)[0] == 0
    texts = [(tmp_path / name / "problems.jsonl").read_text() for name in "abc"]
    assert texts[0] == texts[1] != texts[2]
    assert cli("task", "check", tmp_path / "a")[0] == 0


def test_zoo_list_names_every_organism(cli):
    code, stdout, _ = cli("zoo", "list")
    assert code == 0
    assert len(stdout.splitlines()) == len(organisms()) == 7
    assert "suppressed" in stdout


INTERRUPTED = """
import signal, sys
left = {calls}
def count_down(frame, event, argument):
    global left
    left -= 1
    if left == 0:
        sys.setprofile(None)
        signal.raise_signal(signal.{name})
sys.setprofile(count_down)
from undertext.__main__ import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("calls", "name"),
    [
        (300_000, "SIGINT"),
        (3_000_000, "SIGTERM"),
        *(pytest.param(calls, "SIGINT", marks=pytest.mark.slow) for calls in (1_000_000, 6_000_000)),
    ],
)
def test_an_interrupt_is_one_line_and_leaves_nothing_by_halves(tmp_path, calls, name):
    """Moments are counted in calls and returns: the first ones come while libraries load."""
    out = tmp_path / "out"
    args = ["--base", "zoo:base", "--tuned", "zoo:elicited", "--task", "zoo:chain", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(calls=calls, name=name), "compare", *args],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == "undertext: interrupted; what was not finished was not written\n"
    assert [
        path for path in tmp_path.rglob("*") if path.suffix == ".tmp" or path.name.startswith(".undertext-")
    ] == []
    assert {path.name for path in out.glob("*")} <= {"parts"}


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_defect():
    """As `undertext compare --help | head -1`: what is printed goes to a pipe that nobody reads any more."""
    for args in (["compare", "--help"], ["--help"], ["zoo", "list"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "undertext", *args], stdout=write, stderr=subprocess.PIPE, text=True
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (141, ""), args


def test_shipped_configs_are_found_by_name(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, stdout, _ = cli("--configs")
    assert code == 0
    assert (Path(stdout.strip()) / "compare_chain.yaml").is_file()
    given = parse(CompareCommand, "compare", ["--config", "compare_chain.yaml", "--seed", "4"])
    assert (given.base, given.tuned, given.seed) == ("zoo:base", ("zoo:elicited",), 4)
    (tmp_path / "compare_chain.yaml").write_text("base: mine\n")
    assert parse(CompareCommand, "compare", ["--config=compare_chain.yaml"]).base == "mine"


def test_a_verdict_is_printed_though_it_cannot_be_saved(cli, untrained, small_task, tmp_path, monkeypatch):
    def full(*_: Any, **__: Any) -> None:
        raise UserError("cannot write: No space left on device")

    args = ["--base", untrained / "a", "--tuned", untrained / "b", "--task", small_task, "--splits", "test"]
    with monkeypatch.context() as patch:
        patch.setattr(undertext.core.job, "publish", full)
        code, stdout, stderr = cli("compare", *args, "--threads", 1, "--out", tmp_path / "out")
    assert (code, stderr) == (2, "undertext: cannot write: No space left on device\n")
    assert stdout.startswith("test: ")
    code, again, _ = cli("compare", *args, "--threads", 1, "--out", tmp_path / "out")
    assert (code, again) == (0, f"{stdout}report: {tmp_path}/out/report.html\n")
    made = json.loads((tmp_path / "out" / "run.json").read_text())["made"]
    assert made["command"].startswith("undertext compare --base ")
    assert (made["device"], made["dtype"], made["host"]) == ("cpu", "float32", socket.gethostname())
    code, _, stderr = cli("compare", *args, "--threads", 1, "--seed", 9, "--out", tmp_path / "out")
    assert code == 2
    assert "holds a report of other settings: config.seed was 0, is 9" in stderr
    args[3] = args[1]
    code, _, stderr = cli("compare", *args, "--threads", 1, "--out", tmp_path / "out")
    assert code == 2
    assert "other settings: tuned has other content (fingerprint " in stderr


def test_a_job_that_is_finished_is_not_run_again(cli, untrained, small_task, tmp_path):
    out = tmp_path / "out"
    args = ["trace", "--checkpoint", untrained / "a", "--task", small_task, "--out", out, "--problems", 5]
    args += ["--readers", "logit_lens"]
    code, said, _ = cli(*args, "--threads", 1)
    assert code == 0
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    code, again, _ = cli(*args, "--threads", 2)
    assert code == 0
    first, _, rest = again.partition("\n")
    assert first.startswith(f"{out} holds this job, finished before: nothing is run")
    assert rest == said
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == written
    (out / "report.html").unlink()
    assert cli(*args, "--threads", 1)[:2] == (0, said)
    assert (out / "report.html").is_file()
    record, of_now = (out / "run.json").read_text(), versions()["undertext"]
    (out / "run.json").write_text(record.replace(of_now, "0.1.0+code.of_before"))
    assert cli(*args, "--threads", 1)[:2] == (0, said)  # other code made it: it is made again
    assert json.loads((out / "run.json").read_text())["undertext"] == of_now


def test_a_job_that_is_finished_is_put_into_a_store_that_is_given_later(cli, untrained, small_task, tmp_path):
    out, store = tmp_path / "out", tmp_path / "store"
    args = ["trace", "--checkpoint", untrained / "a", "--task", small_task, "--out", out, "--problems", 5]
    args += ["--readers", "logit_lens", "--threads", 1]
    assert cli(*args)[0] == 0
    code, said, _ = cli(*args, "--store", store.as_uri())
    assert (code, "nothing is run" in said) == (0, True)
    (there,) = store.iterdir()
    names = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert {path.relative_to(there) for path in there.rglob("*") if path.is_file()} == names
    assert all((there / name).read_bytes() == (out / name).read_bytes() for name in names)
    written = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    assert cli(*args, "--store", store.as_uri())[:2] == (0, said)
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()} == {
        path: time for path, time in written.items() if path.is_file()
    }


def test_a_word_that_is_no_choice_is_answered_with_the_choices(cli, tmp_path):
    code, _, stderr = cli(
        "task", "from", "dataset", "rows.jsonl", "--format", "gsmk", "--out", tmp_path / "t"
    )
    assert code == 2
    said = " ".join(stderr.replace("\u2502", " ").split())
    assert "--format: expected one of gsm8k, math, columns, got 'gsmk'" in said


def test_a_flag_of_another_command_is_answered_with_those_of_this_one(cli, untrained, tmp_path):
    code, _, stderr = cli("trace", "--base", untrained / "a", "--out", tmp_path / "out")
    assert code == 2
    assert stderr.splitlines()[-1] == "undertext trace must be given --checkpoint, --task too"


@pytest.mark.parametrize(
    ("flag", "said"), [("--samples", "a whole number, got 'many'"), ("--random-directions", "a whole number")]
)
def test_a_flag_that_is_no_number_is_told_so(cli, untrained, tmp_path, flag, said):
    code, _, stderr = cli("compare", flag, "many")
    assert code == 2
    assert f"{flag}: expected {said}" in " ".join(stderr.replace("│", " ").split())


def test_what_is_said_does_nothing_to_a_terminal(capsys):
    say("red \x1b[31m and\r back\u202e")
    assert capsys.readouterr().out == "red \\x1b[31m and\\r back\\u202e\n"


def test_progress_is_a_line_now_and_then_where_stderr_is_no_terminal(capsys, monkeypatch):
    moments = iter([0.0, 10.0, 70.0, 71.0, 140.0, 150.0])
    monkeypatch.setattr(undertext.core.progress, "perf_counter", lambda: next(moments))
    bars = Progress()
    with bars.stage("split\x1b[31m", 4) as done:
        for _ in range(4):
            done(1)
    assert capsys.readouterr().err.splitlines() == [
        "split\\x1b[31m: 2 of 4 (50%) after 70 s, about 70 s left",
        "split\\x1b[31m: 4 of 4 (100%) after 140 s",
        "split\\x1b[31m: 150 s",
    ]
    moments = iter([0.0, 500.0])
    with Progress(False).stage("quiet"):
        pass
    assert capsys.readouterr().err == ""
