"""Every figure of the table `trace` is explained on the page, and each threshold stands there as a number."""

from typing import get_args

import pytest

from tests.verdicts import RULE
from undertext.jobs.compare.trace_figures import FigureName
from undertext.jobs.compare.trace_words import FIGURES, threshold
from undertext.measures.trace.completion import SHOWN


def test_every_figure_has_words():
    assert set(FIGURES) == set(get_args(FigureName))
    assert all(words.endswith(".") and len(words) < 200 for words in FIGURES.values())
    of_completion = [name for name in FIGURES if name.startswith("completes")]
    assert len(of_completion) == 3
    assert all(f"first {SHOWN:.0%}" in name for name in of_completion)  # the names say how much is given


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rationalised_above", "0.5 (rationalised_above)"),
        ("max_unfinished", "0.05 (max_unfinished)"),
        ("of another version", "of another version"),
        (None, "\u2013"),
    ],
)
def test_a_threshold_is_a_number_with_its_name(name, said):
    assert threshold(name, RULE.model_dump()) == said
