"""The page of routes on the zoo: what it must show, and that the one in docs/ is of this form."""

import re
from pathlib import Path

import pytest

from docs.make.routes import ABSENT, LATENT, RoutesPage
from tests.docs.markdown import Row, numbers, tables
from undertext.core.progress import Progress


def routes_by_weaker(page: str) -> dict[str, dict[str, Row]]:
    """By the weaker checkpoint and the route, each row's cells by column."""
    weaker = re.findall(r"^### (\w+),", page, re.MULTILINE)
    return {
        name: {row["route"]: row for row in rows} for name, rows in zip(weaker, tables(page), strict=True)
    }


def gap(cells: Row) -> list[float]:
    """Figure, low, high."""
    return numbers(cells["recovered gap"])


def the(routes: dict[str, Row], beginning: str) -> Row:
    (found,) = [cells for name, cells in routes.items() if name.startswith(beginning)]
    return found


def check(page: str) -> None:
    found = routes_by_weaker(page)
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
        assert the(found[weaker], "SAE feature")["access"] == "weaker only"
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
    files = RoutesPage(seed=1, search_problems=32).files(Progress(False))
    check(files["routes.md"].decode())
    assert set(files) == {"routes.md", "figures/routes.svg", "figures/agreement.svg"}
