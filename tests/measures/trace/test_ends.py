"""Answers at both ends of a trace: against bare passes, and what other problems' answers have there."""

from dataclasses import replace

import numpy as np
import pytest

from tests.trails_task import LEAD, RULE, problem, task_of, token_scores, toy, written
from undertext.measures.trace.ends import OTHERS, PLACES, ends
from undertext.measures.trace.trails import output_trails

PROBLEMS = [problem(k, 3, id=f"r{k}") for k in range(6)]
TEXTS = [*(f"a = {k} ; a = {k + 1} ; answer {k + 2}" for k in range(5)), "a = 4 ; a ="]
CUT = [False] * 5 + [True]


def trails(order=range(6)):
    own = output_trails(task_of(PROBLEMS), PROBLEMS, TEXTS, CUT, RULE)
    return {i: own[i] for i in order}


def probability(checkpoint, text, answer):
    """Of an answer at the end of a text, by one bare pass."""
    spans, scores = token_scores(checkpoint, f"{text}{answer}")
    return np.exp(sum(s for (_, end), s in zip(spans, scores, strict=True) if end > len(text)))


@pytest.mark.parametrize("of_bytes", [False, True])
def test_both_ends_are_those_of_bare_passes(of_bytes):
    checkpoint = toy(of_bytes=of_bytes)
    found = ends(checkpoint, trails(), LEAD, 0)
    assert found.index == [0, 1, 2, 3, 4]  # the last gives no answer
    assert found.long == 0
    for row, i in enumerate(found.index):
        prompt, answer = PROBLEMS[i].prompt, str(i + 2)
        steps = f"{prompt} a = {i} ; a = {i + 1} ;"
        assert found.before[row] == pytest.approx(
            probability(checkpoint, f"{prompt}{LEAD}", answer), rel=1e-4
        )
        assert found.after[row] == pytest.approx(probability(checkpoint, f"{steps}{LEAD}", answer), rel=1e-4)
        others = [probability(checkpoint, f"{prompt}{LEAD}", str(k + 2)) for k in range(5) if k != i]
        assert len(others) == OTHERS
        assert found.by_chance[row] == pytest.approx(np.mean(others), rel=1e-4)


@pytest.mark.parametrize("of_bytes", [False, True])
def test_between_the_ends_both_answers_are_those_of_bare_passes(of_bytes):
    checkpoint = toy(of_bytes=of_bytes)
    found = ends(checkpoint, trails(), LEAD, 0)
    for row, i in enumerate(found.index):
        curve, prompt, right = found.curves[row], PROBLEMS[i].prompt, PROBLEMS[i].answer
        assert right != str(i + 2)
        assert curve.shares.tolist() == [0, 0.5, 1]
        assert curve.right is not None
        for place, steps in enumerate(("", f" a = {i} ;", f" a = {i} ; a = {i + 1} ;")):
            text = f"{prompt}{steps}{LEAD}"
            assert curve.given[place] == pytest.approx(probability(checkpoint, text, str(i + 2)), rel=1e-4)
            assert np.exp(curve.right[place]) == pytest.approx(probability(checkpoint, text, right), rel=1e-4)
        assert (curve.given[0], curve.given[-1]) == (found.before[row], found.after[row])


def test_a_long_trace_is_scored_at_a_few_places_and_a_right_one_once():
    checkpoint, asked = toy(n_ctx=512), problem(0, 25)
    texts = [step.text for step in asked.steps]
    (trail,) = output_trails(task_of([asked]), [asked], [asked.trace or ""], [False], RULE)
    assert len(trail.steps) == 25
    counted: list[int] = []
    found = ends(checkpoint, {0: trail}, LEAD, 0, progress=counted.append)
    (curve,) = found.curves
    assert sum(counted) == 1
    assert curve.right is not None
    assert np.exp(curve.right) == pytest.approx(curve.given, rel=1e-6)
    places = (25 * curve.shares).round().astype(int)
    assert (len(places), places[0], places[-1]) == (PLACES + 1, 0, 25)
    assert set(np.diff(places)) == {2, 3}
    for place, p in zip(places, curve.given, strict=True):
        text = f"{' '.join([asked.prompt, *texts[:place]])}{LEAD}"
        assert p == pytest.approx(probability(checkpoint, text, asked.answer), rel=1e-4)


def test_an_answer_that_does_not_fit_leaves_the_other():
    checkpoint = toy(n_ctx=40)
    trail = trails()[0]
    asked = trail.problem.model_copy(update={"answer": " ".join("7" * 30)})
    (curve,) = ends(checkpoint, {0: replace(trail, problem=asked)}, LEAD, 0).curves
    assert curve.right is None
    assert len(curve.given) == 3


def test_an_output_without_steps_has_one_end_and_one_alone_has_no_others():
    alone = ends(toy(), {0: written("answer 4")}, LEAD, 0)
    assert alone.before.tolist() == alone.after.tolist()
    assert alone.stepped.tolist() == [False]
    assert alone.curves[0].shares.tolist() == [0]
    assert np.isnan(alone.by_chance).all()
    none = ends(toy(), {}, LEAD, 0)
    assert (none.index, len(none.before)) == ([], 0)


def test_draws_hang_on_seed_and_problem_alone_and_what_does_not_fit_is_counted():
    checkpoint = toy()
    whole, turned = (ends(checkpoint, trails(order), LEAD, 3) for order in (range(6), reversed(range(6))))
    at = {i: row for row, i in enumerate(turned.index)}
    assert [turned.by_chance[at[i]] for i in whole.index] == pytest.approx(whole.by_chance.tolist(), rel=1e-5)
    short = toy(n_ctx=16)
    assert ends(short, trails(), LEAD, 3).long == 5
