"""The page of routes on the zoo: what it must show, and that the one in docs/ is of this form."""

import re
from pathlib import Path

import pytest

from docs.make.routes_page import ABSENT, LATENT, routes_page
from undertext import RoutesConfig, UserError
from undertext.core.shipped import SHIPPED
from undertext.organisms.command import run
from undertext.tasks.open import open_task
from undertext.tasks.task import Task


def tables(page: str) -> dict[str, dict[str, dict[str, str]]]:
    """By the weaker checkpoint and the route: each row's cells by column."""
    found = {}
    for weaker, block in re.findall(r"^### (\w+),[^\n]*\n\n((?:\|.*\n)+)", page, re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        ]
        found[weaker] = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    return found


def gap(cells: dict[str, str]) -> list[float]:
    """Figure, low, high."""
    return [float(each.replace("−", "-")) for each in re.findall(r"[−\d.]+", cells["recovered gap"])]


def the(routes: dict[str, dict[str, str]], beginning: str) -> dict[str, str]:
    (found,) = [cells for name, cells in routes.items() if name.startswith(beginning)]
    return found


def check(page: str) -> None:
    found = tables(page)
    assert list(found) == [weaker for weaker, _ in (*LATENT, *ABSENT)]
    for routes in found.values():
        trained = [name for name, cells in routes.items() if name.endswith("(*training*)")]
        assert len(trained) == 3
        assert all(routes[name]["trained on"].endswith("tokens") for name in trained)
        for name, cells in routes.items():
            assert (cells["trained on"] == "–") == (name not in trained)
    for weaker, _ in LATENT:
        assert gap(the(found[weaker], "vector, textbook"))[1] > 0.75
        assert gap(the(found[weaker], "RLVR"))[1] > 0.75
        assert gap(the(found[weaker], "a vector a layer"))[1] > 0.5
        assert gap(the(found[weaker], "SAE feature"))[1] > 0.75
        assert the(found[weaker], "SAE feature")["knows"] == "weaker only"
    for weaker, _ in ABSENT:
        for beginning in ("vector, textbook", "SAE feature", "RLVR", "a vector a layer", "prompt, worded"):
            assert gap(the(found[weaker], beginning))[0] < 0.15


def test_the_documented_page():
    page = Path("docs/routes.md").read_text()
    check(page)
    for name in ("routes", "agreement"):
        assert f"(figures/{name}.svg)" in page
        assert Path(f"docs/figures/{name}.svg").stat().st_size > 1000


@pytest.mark.slow
def test_the_page_anew():
    task = open_task("zoo:chain")
    assert isinstance(task, Task)
    stages: list[str] = []
    config = RoutesConfig(seed=1, search="halving", search_problems=32, threads=1)
    page, found = routes_page(SHIPPED, task, config=config, progress=stages.append)
    check(page)
    assert len(stages) == 4
    assert set(found.figures()) == {"routes", "agreement"}


def test_a_folder_without_organisms_is_named(tmp_path):
    with pytest.raises(UserError, match=f"expected organisms in {tmp_path}, got none"):
        run(["routes", "--folder", str(tmp_path), "--out", str(tmp_path / "page")])
    assert not (tmp_path / "page").exists()
