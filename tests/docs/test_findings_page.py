"""The page of the ten findings: what it says follows from the figures, and it builds what is missing."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.make import findings_measured, findings_page
from docs.make.__main__ import main
from docs.make.findings import came_out
from docs.make.findings_measured import Figures, _over_surface, told_apart
from docs.make.findings_page import FindingsPage, compared
from docs.make.ten_findings import FINDINGS, NAMES, Compared
from tests.docs.markdown import numbers, tables
from undertext.core.progress import Progress
from undertext.core.statistics import Estimate
from undertext.measures.trace.confidence import trajectory
from undertext.organisms.findings import build as building
from undertext.organisms.findings.recipes import FINDING_RECIPES, Rewarded

ABOVE, AROUND, BELOW = (Estimate(value, value - 0.08, value + 0.08, 100) for value in (0.5, 0.05, -0.5))


@pytest.mark.parametrize(
    ("says", "margin", "found", "said"),
    [
        ("more", 0.0, ABOVE, "came out"),
        ("more", 0.0, AROUND, "did not come out surely: 0 of 1"),
        ("more", 0.0, BELOW, "did not come out: 1 of 1"),
        ("less", 0.0, BELOW, "came out"),
        ("less", 0.0, AROUND, "did not come out surely"),
        ("less", 0.0, ABOVE, "did not come out: 1 of 1"),
        ("not less", 0.1, AROUND, "came out"),
        ("not less", 0.0, AROUND, "did not come out surely"),
        ("not less", 0.1, BELOW, "did not come out: 1 of 1"),
        ("more", 0.0, None, "did not come out surely: 0 of 1"),
    ],
)
def test_a_finding_came_out_where_the_whole_interval_says_so(says, margin, found, said):
    assert came_out([(says, margin, found)]).startswith(said)


def test_every_figure_must_be_as_the_finding_says():
    assert came_out([("more", 0.0, ABOVE), ("less", 0.0, BELOW)]) == "came out"
    assert came_out([("more", 0.0, ABOVE), ("less", 0.0, AROUND)]).startswith(
        "did not come out surely: 1 of 2"
    )
    assert came_out([("more", 0.0, ABOVE), ("less", 0.0, ABOVE)]).startswith("did not come out: 1 of 2")


def test_the_table_names_organisms_and_figures_that_there_are():
    assert [finding.number for finding in FINDINGS] == list(range(1, 11))
    for finding in FINDINGS:
        assert set(finding.organisms) <= set(FINDING_RECIPES)
        assert finding.compared[0].says is not None  # the one that the summary and the figure show
        assert {each.figure for each in finding.compared} <= set(NAMES)


def test_a_difference_rests_on_the_problems_that_both_have():
    one, other = Compared("accuracy", "a", "b"), Compared("words", "a", "b")
    first: list[Figures] = [
        {"accuracy": {"p": 0.0, "q": 1.0, "r": 1.0}},
        {"accuracy": {"p": 0.0, "q": 0.0}},
    ]
    second: list[Figures] = [{"accuracy": {"p": 1.0, "q": 1.0}}, {"accuracy": {"p": 1.0, "q": 0.0}}]
    plain, tuned, difference = compared(one, first, second, 0)
    assert plain is not None
    assert tuned is not None
    assert difference is not None
    assert (plain.value, tuned.value) == ((2 / 3 + 0) / 2, (1 + 0.5) / 2)
    assert (difference.value, difference.n) == (0.5, 4)
    assert compared(other, first, second, 0) == (None, None, None)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=4, max_size=30).filter(
        lambda rows: len({wrong for _, wrong in rows}) == 2
    )
)
def test_what_tells_wrong_from_right_is_the_mean_of_what_problems_add(rows):
    read = {str(i): value for i, (value, _) in enumerate(rows)}
    wrong = {str(i): float(each) for i, (_, each) in enumerate(rows)}
    added = told_apart(read, wrong)
    gap = np.mean([v for v, w in rows if w]) - np.mean([v for v, w in rows if not w])
    assert np.mean(list(added.values())) == pytest.approx(gap, abs=1e-9)
    # Their spread is that of the difference of two means, each with a variance of its own.
    by = [np.array([v for v, w in rows if w == each]) for each in (True, False)]
    wanted = sum(each.var() / len(each) for each in by)
    assert np.var(list(added.values())) / len(rows) == pytest.approx(wanted, abs=1e-9)


def test_nothing_is_told_apart_where_all_are_right():
    assert told_apart({"a": 0.1, "b": 0.2}, {"a": 0.0, "b": 0.0}) == {}


def test_readings_count_over_their_surface():
    row: dict[str, Any] = {"problem": "p", "measure": "exploration", "reading": "dead branch"}
    rows: list[dict[str, Any]] = [
        {**row, "right": 1.0, "surface": 0.5},
        {**row, "right": 0.0, "surface": 0.5},
        {**row, "right": 1.0, "surface": None},
    ]
    assert _over_surface(rows) == {"p": 0.0}


def page_of(monkeypatch: pytest.MonkeyPatch, gain: float) -> dict[str, bytes]:
    """The page where the second of every pair has `gain` more of everything than the first."""
    firsts = {each.one for finding in FINDINGS for each in finding.compared}

    def figures(folder, organism, family, split, measures, problems, bars):
        value = 0.3 if organism in firsts else 0.3 + gain
        return {name: {f"{i}": value + 0.01 * (i % 3) for i in range(30)} for name in NAMES}

    monkeypatch.setattr(findings_page, "figures_of", figures)
    return FindingsPage().files(Progress(False))


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.4, -0.4, 0.0])
def test_what_the_page_says_follows_from_the_figures(monkeypatch, gain):
    files = page_of(monkeypatch, gain)
    check(files["findings.md"].decode())
    assert files["figures/findings.svg"].startswith(b"<?xml")


def about(cell: str) -> Estimate:
    """The estimate that a cell shows."""
    value, low, high = numbers(cell)
    return Estimate(value, low, high, 0)


def check(page: str) -> None:
    """Every sentence on an outcome is the one that the figures of its table give."""
    summary, *sections = tables(page)
    assert [row["no."] for row in summary] == [str(finding.number) for finding in FINDINGS]
    measured = [int(number) for number in re.findall(r"^## (\d+)\.", page, re.MULTILINE)]
    assert len(sections) == len(measured)
    for number, rows in zip(measured, sections, strict=True):
        finding = FINDINGS[number - 1]
        decides = [
            (each.says, each.margin, about(row["other less one"]))
            for each, row in zip(finding.compared, rows, strict=True)
            if each.says is not None and row["other less one"] != "–"
        ]
        section = page.split(f"## {number}.")[1].split("\n## ")[0]
        assert f"**{came_out(decides).capitalize()}.**" in section
        assert f"--numbers {number}" in section
    for finding in FINDINGS:
        (line,) = [each for each in page.splitlines() if each.startswith(f"| {finding.number} |")]
        assert ("not measured yet" in line) == (finding.number not in measured)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((10, 11, 12), "nothing was chosen on those shown here"),
        ((0, 9, 14), "chosen with seeds 0, 9 in sight"),
    ],
)
def test_the_page_says_whether_recipes_were_chosen_on_its_seeds(seeds, said, tmp_path):
    page = FindingsPage(folder=tmp_path, build=False, seeds=seeds).files(Progress(False))["findings.md"]
    assert said in page.decode()


def test_the_documented_page():
    page = Path("docs/findings.md").read_text()
    check(page)
    if "(figures/findings.svg)" in page:
        assert Path("docs/figures/findings.svg").stat().st_size > 1000


def test_nothing_is_trained_where_that_is_not_wanted(tmp_path):
    files = FindingsPage(folder=tmp_path, build=False).files(Progress(False))
    assert list(files) == ["findings.md"]
    check(files["findings.md"].decode())
    assert not list(tmp_path.iterdir())


def test_a_finding_that_there_is_not_is_refused(tmp_path, capsys):
    assert (
        main(["findings", "--numbers", "11", "--folder", str(tmp_path), "--out", str(tmp_path / "page")]) == 2
    )
    assert "expected numbers of findings from 1 to 10, got 11" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


@pytest.fixture
def toy(monkeypatch):
    """Recipes of a few steps, and findings of one pair that is measured in every way."""
    small = {
        name: replace(
            recipe,
            stages=tuple(
                replace(stage, steps=2, batch=16 if isinstance(stage.mixture, Rewarded) else 4)
                for stage in recipe.stages
            ),
        )
        for name, recipe in FINDING_RECIPES.items()
        if name in ("chain_base", "answer_first")
    }
    monkeypatch.setattr(building, "FINDING_RECIPES", small)
    return small


@pytest.mark.slow
def test_what_is_missing_is_built_and_what_stands_is_used(toy, tmp_path, monkeypatch):
    page = FindingsPage(folder=tmp_path, seeds=(0, 1), numbers=(1,), problems=4)
    monkeypatch.setattr(findings_page, "FINDINGS", FINDINGS[:1])
    made = page.files(Progress(False))
    assert {at.parent.name for at in tmp_path.glob("*/*/organism.json")} == {"chain_base", "answer_first"}
    assert len(list(tmp_path.glob("*/measured/*.json"))) == 4

    def refused(*args, **options):
        raise AssertionError("nothing was to be made again")

    monkeypatch.setattr(building, "train", refused)
    monkeypatch.setattr(findings_measured, "measure", refused)
    assert page.files(Progress(False)) == made


@pytest.mark.slow
def test_figures_of_problems_are_those_of_the_tables(toy, tmp_path, monkeypatch):
    kept: dict[str, list[Any]] = {}
    plain = findings_measured.by_problem

    def seen(result):
        for name, table in result.tables.items():
            kept[name] = table.to_pylist()
        return plain(result)

    monkeypatch.setattr(findings_measured, "by_problem", seen)
    folder = building.FindingsFolder(tmp_path, 0)
    asked = ("information", "sensitivity")
    found = findings_measured.figures_of(folder, "chain_base", "templates", "test", asked, 6, Progress(False))
    assert found["accuracy"] == {row["problem"]: float(row["right"]) for row in kept["outputs"]}
    assert set(found["sensitivity"]) == {row["problem"] for row in kept["wordings"]}
    along = [row for row in kept["along"] if row["traces"] == "own traces"]
    for problem, value in found.get("gain", {}).items():
        own = {row["step"]: row for row in along if row["problem"] == problem}
        assert value == own[max(own)]["log_p_right"] - own[0]["log_p_right"]
        if problem in found.get("area", {}):
            p = np.exp([own[step]["log_p_given"] for step in sorted(own)])
            assert found["area"][problem] == pytest.approx(trajectory(p).area)
