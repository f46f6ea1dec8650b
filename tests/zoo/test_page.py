"""The page on what organisms carry and use: what it must show, and that the one in docs/ is of this form."""

import re
from pathlib import Path

import pytest

from docs.make.zoo_page import SPLITS, zoo_page
from undertext.activations import UserError
from undertext.core.shipped import SHIPPED, organisms
from undertext.organisms.command import run
from undertext.tasks.open import open_task
from undertext.tasks.task import Task


def tables(page: str) -> list[dict[tuple[str, str], dict[str, str]]]:
    """Every table: by organism and split, each row's cells by column."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        ]
        found.append({(row[0], row[1]): dict(zip(head, row, strict=True)) for row in rows})
    return found


def check(page: str) -> None:
    read, carried, used = tables(page)
    everyone = {(name, split) for name in organisms(SHIPPED) for split in SPLITS}
    assert read.keys() == used.keys() == everyone
    assert carried.keys() == everyone - {("base", split) for split in SPLITS}
    for split in SPLITS:
        # One code in what was tuned from the base; the taught one, of other weights, has a rotated one.
        assert float(carried["elicited", split]["on the base"]) > 0.9
        assert float(carried["taught", split]["on the base"]) < 0.4
        assert float(carried["taught", split]["aligned"]) > 0.9
        assert all(float(row["mispaired"]) < 0.4 for row in carried.values())
        for name in ("base", "elicited", "preserved", "suppressed", "taught"):
            assert float(read[name, split]["selectivity"]) > 0.5
            assert float(used[name, split]["subspace"]) > 0.8
            assert float(used[name, split]["best random"]) < 0.1
        for name in ("novice", "overwritten"):
            assert abs(float(read[name, split]["selectivity"])) <= 0.05
            assert float(used[name, split]["subspace"]) < float(used[name, split]["best random"]) + 0.15


def test_the_documented_page():
    page = Path("docs/zoo.md").read_text()
    check(page)
    assert "(figures/probes.svg)" in page
    assert Path("docs/figures/probes.svg").stat().st_size > 1000


@pytest.mark.slow
def test_the_page_anew():
    task = open_task("zoo:chain")
    assert isinstance(task, Task)
    stages: list[str] = []
    page, read = zoo_page(SHIPPED, task, seed=1, problems=40, draws=2, progress=stages.append)
    check(page)
    assert len(stages) == 1 + 2 * len(organisms(SHIPPED))
    assert read.heatmap("chain", base="base", tuned="overwritten", value="value").axes


def test_a_folder_without_organisms_is_named(tmp_path):
    with pytest.raises(UserError, match=f"expected organisms in {tmp_path}, got none"):
        run(["page", "--folder", str(tmp_path), "--out", str(tmp_path / "page")])
    assert not (tmp_path / "page").exists()
