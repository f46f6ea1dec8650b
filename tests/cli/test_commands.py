import json
import re
import signal
import subprocess
import sys
import time

import pytest

from undertext.core.shipped import organisms


def test_compare_writes_the_report(cli, untrained, small_task, tmp_path):
    out = tmp_path / "deep" / "out"
    code, stdout, _ = cli(
        "compare", "--base", untrained / "a", "--tuned", untrained / "b", "--task", small_task, "--out", out,
        "--splits", "test", "--seed", 5, "--threads", 1,
    )  # fmt: skip
    assert code == 0
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["schema"] == 1
    assert verdict["seed"] == 5
    assert list(verdict["splits"]) == ["test"]
    assert verdict["splits"]["test"]["verdict"] in stdout
    for name in ("report.html", "run.json", "tables/problems.parquet", "figures/accuracy.svg"):
        assert (out / name).is_file()


def test_flags_override_the_config(cli, untrained, small_task, tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text(
        f"base: {untrained}/a\ntuned: {untrained}/b\ntask: {small_task}\nseed: 4\nthreads: 1\nsamples: 2\n"
    )
    assert cli("compare", "--config", config, "--out", tmp_path / "x", "--seed", 6)[0] == 0
    run = json.loads((tmp_path / "x" / "run.json").read_text())
    assert (run["config"]["seed"], run["config"]["samples"]) == (6, 2)


def test_the_same_command_writes_the_same_verdict(cli, tmp_path):
    """On a shipped pair, through every line of evidence."""
    written, task = [], tmp_path / "task"
    few = ["--train", 200, "--dev", 60, "--test", 60, "--ood", 1]
    assert cli("task", "new", "chain", "--out", task, *few)[0] == 0
    for name in ("one", "two"):
        out = tmp_path / name
        args = ["--base", "zoo:base", "--tuned", "zoo:elicited", "--task", task, "--splits", "test"]
        assert (
            cli("compare", *args, "--out", out, "--threads", 1, "--search", "halving", "--max-layers", 2)[0]
            == 0
        )
        text = (out / "verdict.json").read_text()
        assert len(json.loads(text)["splits"]["test"]["evidence"]) == 4
        written.append(re.sub(r'"elapsed_s": [\d.]+', "", text))
    assert written[0] == written[1]


def test_task_new_is_the_same_for_a_seed(cli, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cli("task", "new", "chain", "--out", tmp_path / name, "--seed", seed)[0] == 0
    texts = [(tmp_path / name / "problems.jsonl").read_text() for name in "abc"]
    assert texts[0] == texts[1] != texts[2]
    assert cli("task", "check", tmp_path / "a")[0] == 0


def test_zoo_list_names_every_organism(cli):
    code, stdout, _ = cli("zoo", "list")
    assert code == 0
    assert len(stdout.splitlines()) == len(organisms()) == 7
    assert "suppressed" in stdout


@pytest.mark.parametrize("after", [1.0, 3.0, 7.0, 11.0])
def test_an_interrupt_is_one_line_and_leaves_nothing(tmp_path, after):
    args = ["--base", "zoo:base", "--tuned", "zoo:elicited", "--task", "zoo:chain", "--out", tmp_path / "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "undertext", "compare", *map(str, args), "--random-directions", "40"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(after)
    process.send_signal(signal.SIGINT if after != 7.0 else signal.SIGTERM)
    stderr = process.communicate(timeout=600)[1]
    assert process.returncode == 2, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) == 1, stderr
    assert list(tmp_path.iterdir()) == []
