"""PromptSensiScore against pairs, correlation against scipy's, confidence against a bare pass."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tests.trails_task import problem, token_scores, toy
from undertext.measures.trace.sensitivity import (
    correlation,
    decoding_confidence,
    rank_columns,
    sensitivity,
    wordings,
)


def test_the_case_of_the_docs():
    assert sensitivity([1.0, 0.0, 1.0]) == pytest.approx(2 / 3)
    assert sensitivity([1.0, 1.0, 1.0, 1.0]) == 0.0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_it_is_the_mean_over_pairs(figures):
    pairs = [abs(a - b) for a, b in combinations(figures, 2)]
    assert sensitivity(figures) == pytest.approx(np.mean(pairs), abs=1e-9)


@pytest.mark.parametrize("figures", [[], [1.0]])
def test_one_wording_says_nothing(figures):
    assert sensitivity(figures) is None


def test_wordings_are_the_question_its_paraphrases_and_the_templates_each_once():
    asked = problem(1, paraphrases=["find a , b = 1 :", "so b = 1 ; find a :"])
    assert wordings(asked, ["so {prompt}", "{prompt}"]) == [
        "b = 1 ; find a :", "find a , b = 1 :", "so b = 1 ; find a :",
    ]  # fmt: skip


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), min_size=3, max_size=20))
def test_correlation_is_spearman_s(pairs):
    a, b = (np.array(each, float) for each in zip(*pairs, strict=True))
    found = float(correlation(rank_columns(a, b).mean(0)))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(a, b).statistic, abs=1e-6)


def test_what_is_not_known_is_left_out():
    a, b = np.array([0.1, np.nan, 0.3, 0.9]), np.array([3.0, 1.0, 2.0, 1.0])
    columns = rank_columns(a, b)
    assert np.isnan(columns[1]).all()
    assert float(correlation(np.nanmean(columns, 0))) == pytest.approx(-1.0)


def test_confidence_is_that_of_a_bare_pass():
    checkpoint, asked = toy(), problem(2)
    outputs = ["a = 3 ; answer 3", "7", ""]
    found = decoding_confidence(checkpoint, [asked.prompt] * 3, outputs)
    for output, own in zip(outputs[:2], found[:2], strict=True):
        offsets, scores = token_scores(checkpoint, f"{asked.prompt} {output}")
        tail = [s for (_, end), s in zip(offsets, scores, strict=True) if end > len(asked.prompt) + 1]
        assert own == pytest.approx(np.exp(np.mean(tail)), rel=1e-3)
    assert np.isnan(found[2])
