"""The page of every job as a browser shows it, on a wide screen and on a phone."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.cli.golden import make_inputs, run_job
from tests.report import made_up
from undertext.core.output import PAGE
from undertext.jobs.runs.folders import KINDS
from undertext.jobs.runs.job import join_runs

RUN = ("routes", "probe", "trace", "measure", "sae train", "sae features", "sae diff")
"""Jobs that are run, on the smallest of tasks; the results of the others are made up."""
FIGURE = re.compile(r"\d\.\d\d|\d%")
"""A figure, which every picture's words hold."""
JOINED = "joined runs"
JOBS = ("steer", "compare", "compare checkpoints", *RUN, JOINED)
MANY_COLUMNS = ("compare checkpoints", JOINED)
"""Jobs with tables that no screen need have room for: their sections may scroll sideways."""

SCROLLING = """
    [...document.querySelectorAll("section")].filter(each => each.scrollWidth > each.clientWidth).length
"""
"""How many sections are wider than the screen."""
LINES = """
    [...document.querySelectorAll("dt")].reduce((lines, each) => {
        const text = document.createRange();
        text.selectNodeContents(each);
        return lines + text.getClientRects().length;
    }, 0)
"""
"""How many lines the names at the top take."""


@pytest.fixture(scope="module")
def page_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], bytes]:
    """Gives the page of a job; what is run is run once."""
    root, inputs = tmp_path_factory.mktemp("pages"), dict[str, str]()

    def run(job: str) -> Path:
        out: Path = root / "runs" / job
        if not out.exists():
            inputs.update(inputs or make_inputs(root))
            run_job(job.replace(" ", "_"), inputs, out)
        return out

    @cache
    def page(job: str) -> bytes:
        if job in RUN:
            return (run(job) / PAGE).read_bytes()
        if job == "compare":  # whose files other tests ask for as well
            files: Mapping[str, bytes] = request.getfixturevalue("rendered")
            return files[PAGE]
        if job == "steer":
            return made_up.steered().files()[PAGE]
        if job == "compare checkpoints":
            return made_up.over_training().files()[PAGE]
        steered = made_up.steered().save(root / "steer")
        return join_runs(steered, run("trace"), run("sae features")).files()[PAGE]

    return page


def test_every_job_is_among_them():
    assert set(JOBS) == {*KINDS, JOINED}


@pytest.mark.parametrize(
    "job", [pytest.param(job, marks=[pytest.mark.slow] * (job != "steer")) for job in JOBS]
)
def test_it_fits_complains_of_nothing_and_says_what_its_pictures_show(job, page_of, open_report):
    for width in (1280, 390):  # in one test: what is run is then run by one process
        view = open_report({PAGE: page_of(job)}, width)  # which fails on a request or a complaint
        view.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert view.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), width
        assert view.evaluate(SCROLLING) == 0 or (width > 800 and job in MANY_COLUMNS), width
        assert view.evaluate(LINES) == view.locator("dt").count(), "a name at the top is broken in two"
        alternatives = view.evaluate("[...document.images].map(each => each.alt)")
        assert all(len(text) > 40 for text in alternatives), alternatives
        assert all(FIGURE.search(text) for text in alternatives), alternatives
        assert all(view.evaluate("[...document.images].map(each => each.naturalWidth > 0)"))
