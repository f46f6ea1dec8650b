"""The page on what organisms carry and use: what it must show, and that the one in docs/ is of this form."""

from pathlib import Path

import pytest

from docs.make.zoo import SPLITS, ZooPage
from tests.docs.markdown import Row, tables
from undertext.core.progress import Progress
from undertext.core.shipped import SHIPPED, organisms


def by_organism(page: str) -> list[dict[tuple[str, str], Row]]:
    """Every table: by organism and split, each row's cells by column."""
    return [{(row["organism"], row["split"]): row for row in rows} for rows in tables(page)]


def check(page: str) -> None:
    read, transferred, used = by_organism(page)
    everyone = {(name, split) for name in organisms(SHIPPED) for split in SPLITS}
    assert read.keys() == used.keys() == everyone
    assert transferred.keys() == everyone - {("base", split) for split in SPLITS}
    for split in SPLITS:
        # One code in what was tuned from the base; the taught one, of other weights, has a rotated one.
        assert float(transferred["elicited", split]["on the base"]) > 0.9
        assert float(transferred["taught", split]["on the base"]) < 0.4
        assert float(transferred["taught", split]["aligned"]) > 0.9
        assert all(float(row["mispaired"]) < 0.4 for row in transferred.values())
        for name in ("base", "elicited", "preserved", "suppressed", "taught"):
            assert float(read[name, split]["selectivity"]) > 0.5
            assert float(used[name, split]["subspace"]) > 0.8
            assert float(used[name, split]["best random"]) < 0.1
        for name in ("novice", "overwritten"):
            assert abs(float(read[name, split]["selectivity"])) <= 0.05
            assert float(used[name, split]["subspace"]) < float(used[name, split]["best random"]) + 0.15
    assert "- `elicited`, `preserved` and `suppressed`: one code with the base" in page
    assert "- `taught`: the same content in another code" in page
    assert "- `novice` and `overwritten`: nothing is read on itself" in page


def test_the_documented_page():
    page = Path("docs/zoo.md").read_text()
    check(page)
    assert "(figures/probes.svg)" in page
    assert Path("docs/figures/probes.svg").stat().st_size > 1000


@pytest.mark.slow
def test_the_page_anew():
    files = ZooPage(seed=1, problems=40, draws=2).files(Progress(False))
    check(files["zoo.md"].decode())
    assert files["figures/probes.svg"].startswith(b"<?xml")
