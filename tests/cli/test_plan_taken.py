"""The memory and the disk that a plan states, beside what the command then takes in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.widened import widened
from undertext import new_chain
from undertext.tasks import write_task

SCRIPT = """\
import resource, sys
from undertext.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
SMALL = (
    "--splits test --layers 1 --doses 1 --positions last_prompt --random-directions 1 --search-problems 4 "
    "--vector-problems 8 --samples 2 --trace-problems 4 --threads 1"
)
MOST = 1.6
"""Times the peak that a plan may state."""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks are in kilobytes on Linux alone")


def ran(args: str) -> tuple[str, float]:
    """What a command prints, and the most bytes of memory it took."""
    # By way of a shell: what a process was before it became Python counts as its own, and pytest is large.
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", SCRIPT, *args.split()]
    out = subprocess.run(command, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    said, _, peak = out.stdout.rpartition("peak ")
    return said, 1024 * float(peak)


def stated(said: str, what: str) -> float:
    """Bytes that a plan states."""
    (found,) = re.findall(rf"{what}: about ([\d.,]+) (\w+)", said)
    return float(found[0].replace(",", "")) * UNITS[found[1]]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def task(tmp_path: Path) -> Path:
    write_task(new_chain(0, train=60, dev=12, test=24, ood=8), tmp_path / "task")
    return tmp_path / "task"


def holds(args: str, out: Path) -> None:
    """The plan of a command is no less than it takes, and not far above."""
    said, _ = ran(f"{args} --out {out} --dry-run")
    _, peak = ran(f"{args} --out {out}")
    memory, disk = stated(said, "memory on cpu"), stated(said, "disk")
    report = sum((out / name).stat().st_size for name in ("report.html",)) + size(out / "figures")
    assert peak <= memory <= MOST * peak, (peak, memory)
    assert size(out) - report <= disk, (size(out), report, disk)


@pytest.mark.slow
def test_a_comparison_of_a_shipped_pair(task, tmp_path):
    holds(f"compare --base zoo:base --tuned zoo:elicited --task {task} {SMALL}", tmp_path / "out")


@pytest.mark.slow
def test_a_comparison_of_a_wide_pair(task, tmp_path):
    base, tuned = (widened(name, tmp_path / name, d_model=768, d_mlp=3072) for name in ("base", "elicited"))
    assert size(base) > 100e6
    holds(f"compare --base {base} --tuned {tuned} --task {task} {SMALL}", tmp_path / "out")


@pytest.mark.slow
def test_training_an_sae(task, tmp_path):
    args = (
        "--splits train dev --loss-split test --d-sae 16384 --k 8 --batch-size 512 --held-out 64 --steps 4 "
        "--checkpoint-every 2 --threads 1"
    )
    holds(f"sae train --checkpoint zoo:base --task {task} {args}", tmp_path / "out")
