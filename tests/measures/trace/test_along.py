"""Answers along traces: every (trace, step) pair scored again, one text at a time, by a bare pass."""

import numpy as np
import pytest

from tests.toys import SHAPES
from tests.trails_task import LEAD, RULE, gold, problem, task_of, token_scores, toy, written
from undertext.activations import UserError
from undertext.measures.trace.along import along, too_long
from undertext.measures.trace.trails import LEAD as SHIPPED_LEAD
from undertext.measures.trace.trails import gold_trails, lead_of, output_trails, says
from undertext.tasks import Grader
from undertext.tasks.prompt_form import Reasoning
from undertext.tasks.steps import THINK


def naive(checkpoint, trail, answer, lead):
    """Log-probability of the answer and perplexity of the whole, a text for each point."""
    logs, perplexities = [], []
    for point in trail.points:
        head = trail.reading[:point] + lead
        offsets, scores = token_scores(checkpoint, head + answer)
        logs.append(sum(s for (_, end), s in zip(offsets, scores, strict=True) if end > len(head)))
        perplexities.append(np.exp(-np.mean(scores[1:])))
    return logs, perplexities


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("of_bytes", [False, True])
def test_it_is_what_each_text_gives_alone(shape, of_bytes):
    checkpoint = toy(shape, of_bytes=of_bytes)
    trails = [
        *gold(problem(1, 3), problem(2, 1)),
        written("a = 4 ; wait so a = 5 ; answer 5"),
        written("", k=3),
        written("a = 1 ; a = 2", unfinished=True),
    ]
    answers = [["3", "7 + 4 * 2"], ["2"], ["5", "1"], ["3"], ["9"]]
    done: list[int] = []
    found = along(checkpoint, trails, answers, LEAD, progress=done.append)
    assert sum(done) == sum(map(len, answers))
    for trail, own, rows in zip(trails, answers, found, strict=True):
        assert len(rows) == len(own)
        for answer, row in zip(own, rows, strict=True):
            logs, perplexities = naive(checkpoint, trail, answer, LEAD)
            np.testing.assert_allclose(row.log_probs, logs, atol=2e-4)
            np.testing.assert_allclose(row.perplexities, perplexities, rtol=1e-3)
            np.testing.assert_allclose(row.probability, np.exp(logs), atol=2e-4)


def test_an_answer_of_many_tokens_counts_them_all():
    checkpoint = toy()
    (trail,) = gold(problem(1, 2))
    ((row,),) = along(checkpoint, [trail], [["1 2 3 4 5 6 7 8 9 0"]], LEAD)
    assert row.tokens == 10
    np.testing.assert_allclose(
        row.log_probs, naive(checkpoint, trail, "1 2 3 4 5 6 7 8 9 0", LEAD)[0], atol=2e-4
    )


def test_two_hundred_steps():
    checkpoint = toy(n_ctx=1024)
    (trail,) = gold(problem(4, 200))
    ((row,),) = along(checkpoint, [trail], [["1"]], LEAD)
    assert len(row.log_probs) == 201
    logs, _ = naive(checkpoint, trail, "1", LEAD)
    np.testing.assert_allclose(row.log_probs, logs, atol=5e-4)


def test_what_does_not_fit_the_context_is_told_beforehand():
    checkpoint = toy(n_ctx=64)
    short, long = gold(problem(1, 2), problem(2, 40))
    assert not too_long(checkpoint, short, ["1"], LEAD)
    assert too_long(checkpoint, long, ["1"], LEAD)
    with pytest.raises(UserError, match="too long: it has 168 tokens"):
        along(checkpoint, [long], [["1"]], LEAD)


def test_a_blank_answer_is_refused():
    with pytest.raises(UserError, match="problem p1: expected an answer to score, got a blank"):
        along(toy(), gold(problem(1, 2)), [[" "]], LEAD)


def test_no_trails():
    assert along(toy(), [], [], LEAD) == []


def test_trails_of_a_task_s_own_traces():
    (trail,) = gold(problem(1, 3, answer="7"))
    assert [trail.text[slice(*span)] for span in trail.steps] == ["a = 1 ;", "a = 4 ;", "a = 7 ;"]
    assert (trail.answer, trail.first_says("7"), trail.unfinished) == ("7", 2, False)
    assert trail.reading == "b = 1 ; find a : a = 1 ; a = 4 ; a = 7 ;"
    assert [trail.reading[:point] for point in trail.points[:2]] == [
        "b = 1 ; find a :",
        "b = 1 ; find a : a = 1 ;",
    ]


def test_an_answer_inside_the_trace_is_named():
    assert written("a = 5 ; so a = 6 ; answer 5").first_says("5") == 0
    assert written("a = 4 ; so a = 6 ; answer 5").first_says("5") is None
    assert written("a = 15 ; answer 5").first_says("5") is None  # a part of a number says nothing


def test_what_an_output_comes_to():
    direct = written("answer 5")
    assert (direct.steps, direct.answer, direct.reading) == ((), "5", direct.problem.prompt)
    empty = written("  ")
    assert (empty.text, empty.steps, empty.answer) == ("", (), None)
    cut = written("a = 4 ; answer 5 ; a = ", unfinished=True)
    assert (cut.answer, len(cut.steps), cut.unfinished) == (None, 3, True)
    after = written("a = 4 ; answer 5 ; and so on ;")
    assert len(after.steps) == 1


def test_a_reasoning_that_never_ends_gives_no_answer():
    asked = problem(1)
    task = task_of([asked], reasoning=Reasoning(open="<think>", close="</think>"))
    texts = ["<think>so a = 4\n\nthen answer 4", "<think>so a = 4\n\nthen a = 5</think> answer 5"]
    endless, ended = output_trails(task, [asked, asked], texts, [False, False], THINK)
    assert (endless.answer, len(endless.steps)) == (None, 2)
    assert (ended.answer, len(ended.steps)) == ("5", 2)


def test_the_lead_is_what_most_traces_put_before_the_answer():
    assert lead_of(task_of([problem(k) for k in range(4)]), "test", RULE) == LEAD
    bare = [problem(k, trace=None, steps=0, id=f"q{k}") for k in range(4)]
    assert (
        lead_of(task_of([p.model_copy(update={"split": "other"}) for p in bare]), "other", RULE)
        == SHIPPED_LEAD
    )


def test_problems_without_a_trace_have_no_trail():
    asked = [problem(1), problem(2, trace=None, steps=0)]
    assert list(gold_trails(task_of(asked), asked, RULE)) == [0]
    numbers = task_of(asked, grader=Grader(kind="number"))
    assert gold_trails(numbers, asked, RULE)[0].answer == "4"


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [("so 1,234 then", "1234", True), ("1234.5", "1234", False), ("it is North.", "north", True),
     ("northern", "north", False), ("x = 3cm", "3", True), ("nothing", " ", False)],
)  # fmt: skip
def test_what_says_a_value(text, value, wanted):
    assert says(text, value) is wanted
