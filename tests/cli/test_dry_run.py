"""`--dry-run`: what is printed, and that nothing is written."""

import re
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from tests.imports import ROOT
from tests.toys import tiny_folder
from undertext import new_chain
from undertext.__main__ import main
from undertext.core import planner
from undertext.core.plan import Rates
from undertext.tasks import write_task

SMALL = "--layers 1 --doses 1 --random-directions 1 --search-problems 4 --vector-problems 8"


@pytest.fixture(autouse=True)
def made_up_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 tokens a second read, 100 written and 500 trained on."""
    rates = Rates(1000.0, {1: 0.01}, 1.0, 4.0, 10, 0.0, learnt=500.0, update=0.1)
    monkeypatch.setattr(planner, "measure_rates", lambda trial, works: rates)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a task and nothing else, which is also where temporary files would come."""
    write_task(new_chain(0, train=60, dev=12, test=10, ood=8), tmp_path / "task")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def said(args: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(args.split())
    assert ended.value.code == code
    out, err = capsys.readouterr()
    return out if code != 2 else err


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        f"steer --checkpoint zoo:base --stronger zoo:elicited {SMALL}",
        f"compare --base zoo:base --tuned zoo:elicited {SMALL} --out out",
        f"compare --base zoo:base --tuned zoo:elicited zoo:taught {SMALL} --out out",
        "trace --checkpoint zoo:base --layers 1 --problems 4 --out out",
        f"routes --checkpoint zoo:base --stronger zoo:elicited {SMALL} --out out",
        "measure style sensitivity --base zoo:base --tuned zoo:elicited --problems 8 --out out",
        "sae train --checkpoint zoo:base --d-sae 64 --batch-size 16 --held-out 16 --out out",
        "probe --checkpoints base zoo:base --tasks task task --out out",
    ],
)
def test_nothing_is_written_and_no_folder_is_made(command, here, capsys):
    import_module("sae_lens")  # what it imports makes folders of its own
    before = files(here)
    task = "" if command.startswith("probe") else "--task task"
    out = said(f"{command} {task} --dry-run", capsys)
    assert files(here) == before
    assert "nothing is run, and nothing is written" in out
    for word in (
        "settings: ",
        "seed 0",
        "tokens read",
        "time: about",
        "memory on cpu: about",
        "smaller, with",
    ):
        assert word in out


def test_a_report_of_other_settings_is_left_alone(here, capsys):
    (here / "out").mkdir()
    (here / "out" / "report.html").write_text("another's")
    before = files(here)
    said(f"steer --checkpoint zoo:base --task task {SMALL} --out out --dry-run True", capsys)
    assert files(here) == before


def test_a_grid_has_a_plan_a_run_and_their_sum(here, capsys):
    (here / "grid.yaml").write_text(
        "checkpoint: zoo:base\ntask: task\nlayers: [1]\ndoses: [1]\nrandom_directions: 1\n"
        "search_problems: 4\nvector_problems: 8\ngrid:\n  splits: [[test], [ood], [nowhere]]\n"
    )
    before = files(here)
    out = said("steer --config grid.yaml --dry-run", capsys, code=1)
    assert files(here) == before
    assert out.count("plan of undertext steer") == 2
    assert "3 of 3, splits=nowhere: failed:" in out
    totals = [line for line in out.splitlines() if line.startswith("together")]
    read, written = zip(*((_number(line, -3), _number(line, -1)) for line in totals), strict=True)
    assert f"2 runs in all: <= {sum(read):,} tokens read, <= {sum(written):,} written" in out


def _number(line: str, word: int) -> int:
    return int(line.split()[word].replace(",", ""))


def test_a_checkpoint_that_cannot_be_compared_is_named(here, capsys):
    tiny_folder(here / "other")
    out = said(
        f"compare --base zoo:base --tuned zoo:elicited other --task task {SMALL} --out out --dry-run", capsys
    )
    assert out.count("plan of undertext compare") == 1
    assert "other cannot be compared" in out


@pytest.mark.slow
def test_the_demo_plans_the_first_pair_and_sums_all_of_them_up(here, capsys):
    before = files(here)
    out = said("demo --dry-run", capsys)
    assert files(here) == before
    assert out.count("plan of undertext demo, elicited") == 1
    alike = "demo, preserved, demo, suppressed, demo, overwritten, demo, taught"
    (same,) = (line for line in out.splitlines() if line.startswith("the same, and counted in the sum: "))
    assert sorted(same.partition(": ")[2].split(", ")) == sorted(alike.split(", "))
    (total,) = (line for line in out.splitlines() if line.startswith("together"))
    assert f"5 runs in all: <= {5 * _number(total, -3):,} tokens read" in out
    assert "smaller, with" not in out  # the demo takes none of a comparison's settings


@pytest.mark.parametrize("command", ["bench score", "report"])
def test_what_has_no_plan_says_so(command, here, capsys):
    err = said(f"{command} --out out --dry-run", capsys, code=2)
    assert f"undertext {command} has no plan" in err
    assert sorted(path.name for path in here.iterdir()) == ["task"]


def test_false_runs(here, capsys):
    said("trace --checkpoint zoo:base --task task --layers 1 --problems 4 --readers logit_lens --out out "
         "--dry-run False", capsys)  # fmt: skip
    assert (here / "out" / "report.html").is_file()


@pytest.mark.slow
def test_the_page_shows_what_is_printed(here, capsys):
    page = (ROOT / "docs" / "batch.md").read_text()
    (table,) = re.findall(r"```text\n(stage .*?)```", page, re.DOTALL)
    out = said("steer --config steer_chain.yaml --dry-run", capsys)
    assert table in out
