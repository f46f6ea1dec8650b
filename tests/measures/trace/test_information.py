"""Information gain by the formulas, term by term; and what a trace without steps comes to."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trails_task import LEAD, gold, problem, toy, written
from undertext.measures.trace.along import AnswerAlong, along
from undertext.measures.trace.information import gain, rationalised
from undertext.measures.trace.trails import Trail


def made(logs: list[float], perplexities: list[float] | None = None) -> AnswerAlong:
    return AnswerAlong(np.array(logs, float), np.array(perplexities or [2.0] * len(logs), float), 1)


def trail(steps: int, answer: int | None = None) -> Trail:
    (found,) = gold(problem(0, steps, **({} if answer is None else {"answer": answer})))
    return found


def test_the_case_of_the_docs():
    # Two steps; the answer is there with 1/8, then 1/4, then 1. Perplexities 6, 4, 3.
    found = gain(trail(2), made([np.log(1 / 8), np.log(1 / 4), 0.0], [6.0, 4.0, 3.0]), "3")
    np.testing.assert_allclose(found.steps, [np.log(2), np.log(4)])
    assert found.total == pytest.approx(np.log(8))
    assert found.published == pytest.approx(((6 - 4) + (4 - 3)) / 3)
    assert found.before == pytest.approx(1 / 8)
    assert found.after == pytest.approx(1.0)
    assert found.unsaid == pytest.approx(np.log(2))  # the second step says the answer itself


@given(st.lists(st.tuples(st.floats(-30, 0), st.floats(1, 1e4)), min_size=2, max_size=12))
def test_both_forms_term_by_term(points):
    logs, perplexities = map(list, zip(*points, strict=True))
    found = gain(trail(len(points) - 1), made(logs, perplexities), "none")
    terms = [b - a for a, b in itertools.pairwise(logs)]
    np.testing.assert_allclose(found.steps, terms, atol=1e-9)
    assert found.total == pytest.approx(sum(terms), abs=1e-6)
    code = sum(a - b for a, b in itertools.pairwise(perplexities)) / len(points)
    assert found.published == pytest.approx(code, abs=1e-6)


def test_a_trace_without_steps_gains_nothing_that_can_be_told():
    found = gain(written("answer 5"), made([-1.0]), "5")
    assert len(found.steps) == 0
    assert np.isnan([found.total, found.unsaid, found.published]).all()
    assert found.before == found.after == pytest.approx(np.exp(-1))


def test_a_first_step_that_says_the_answer_leaves_nothing_before_it():
    found = gain(written("a = 5 ; answer 5"), made([-2.0, -1.0]), "5")
    assert found.total == pytest.approx(1.0)
    assert np.isnan(found.unsaid)


def test_gains_of_a_model_are_what_its_probabilities_say():
    (own,) = gold(problem(1, 3))
    ((row,),) = along(toy(), [own], [["7"]], LEAD)
    found = gain(own, row, "7")
    assert found.total == pytest.approx(np.log(found.after / found.before))


def test_what_was_there_before_the_first_step():
    gains = [
        gain(trail(1), made([np.log(0.2), np.log(0.8)]), "0"),
        None,
        gain(written("answer 5"), made([-1.0]), "5"),
    ]
    columns = rationalised(gains)
    np.testing.assert_allclose(columns[0], [0.2, 0.8])
    assert np.isnan(columns[1:]).all()
