"""Valid traces: made outputs of built-in and of made problems, judged by hand and by another reading."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undertext.core.terms import Role
from undertext.measures.trace.stated import stated
from undertext.measures.trace.validity import Validity, by_values, by_words, written_in_words
from undertext.tasks import Problem
from undertext.tasks.builtin.chain import MODULUS, new_chain
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Step

TASK = new_chain(0, train=1, dev=1, test=80, ood=80)
CHAINS = [*TASK.split("test"), *TASK.split("ood")]
FIND = OutputGrader(TASK).find


def spans(outputs):
    return [FIND(text, False) for text in outputs]


def judged(outputs, problems=CHAINS) -> Validity:
    return by_words(problems, outputs, spans(outputs))


def with_values(problem: Problem, change) -> str:
    """The problem's trace, the values that are worked out changed by `change(place, value)`."""
    said = iter(range(-1, 100))

    def other(match: re.Match[str]) -> str:
        place = next(said)  # the first step says what is given
        value = int(match[1])
        return f"= {value if place < 0 else change(place, value) % MODULUS} ;"

    return re.sub(r"= (\d+) ;", other, problem.reasoning)


def test_the_task_s_traces_are_valid_and_no_others_by_chance():
    found = judged([each.reasoning for each in CHAINS])
    assert found.valid == dict.fromkeys(range(len(CHAINS)), True)
    assert set(found.said.values()) == {1.0}
    assert all(step.right for steps in found.steps.values() for step in steps)
    short = [found.by_chance[i] for i, each in enumerate(CHAINS) if len(each.steps) == 2]
    long = [found.by_chance[i] for i, each in enumerate(CHAINS) if len(each.steps) >= 4]
    assert sum(long) / len(long) < 0.05
    assert 0.05 < sum(short) / len(short) < 0.3, "one value of seven"


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(0, len(CHAINS) - 1), st.integers(0, 3), st.integers(1, MODULUS - 1))
def test_one_wrong_value_makes_a_trace_invalid_whatever_else_it_says(i, at, more):
    problem = CHAINS[i]
    at %= len(problem.steps) - 1
    wrong = with_values(problem, lambda place, value: value + more * (place == at))
    everything = "0 1 2 3 4 5 6 " + wrong
    for text in (wrong, everything):
        found = judged([text if k == i else each.reasoning for k, each in enumerate(CHAINS)])
        assert not found.valid[i]
        assert [step.right for step in found.steps[i]] == [k != at for k in range(-1, len(problem.steps) - 1)]
        assert found.said[i] == 1.0


@pytest.mark.parametrize(
    ("text", "valid", "right"),
    [
        ("d = 6 ; e = 5 ; h = 2 ; f = 4 ; answer 4", True, [True] * 4),
        ("d = 6 ; e = 5 ; h = 2 ; f = 4 ; answer 1", True, [True] * 4),
        ("d = 3 ; e = 5 ; h = 2 ; f = 4 ; answer 4", False, [False, True, True, True]),
        ("d = 3 ; wait d = 6 ; e = 5 ; h = 2 ; f = 4 ; answer 4", True, [False, True, True, True, True]),
        ("e = 6 * 2 = 12 mod 7 = 5 ; h = e * 6 = 2 ; f = 4 ; answer 4", True, [True] * 3),
        ("e = 6 * 2 = 3 ; h = 2 ; f = 4 ; answer 4", False, [False, True, True]),
        ("e = 6 * 2 ; h = 2 ; f = 4 ; answer 4", False, [True] * 2),
        ("e = 3 ; wait e = 5 ; h = 2 ; f = 4 ; answer 4", True, [False, True, True, True]),
        ("e = 5 ; h = 2 ; f = 4 ; wait e = 3 ; answer 4", False, [True, True, True, False]),
        ("e = 5 ; f = 4 ; answer 4", False, [True, True]),
        ("0 1 2 3 4 5 6 ; answer 4", False, []),
        ("e is 5 , h is 2 , f is 4 ; answer 4", False, []),
        ("e = 5 ; h = 2 ; f = 4.0 ; answer 4", True, [True] * 3),
        ("e = 5 ; h = 2 ; f = 45 ; answer 4", False, [True, True, False]),
        ("", False, []),
    ],
)
def test_by_hand(text, valid, right):
    (problem,) = [
        each for each in CHAINS if each.prompt.startswith("d = 6 ; e = d * 2 ; h = e * 6 ; f = h * 2")
    ]
    at = CHAINS.index(problem)
    found = judged([text if k == at else each.reasoning for k, each in enumerate(CHAINS)])
    assert found.valid[at] is valid
    assert [step.right for step in found.steps[at]] == right


def made(values: list[list[str]], words: str) -> list[Problem]:
    """Problems of which each step says a value after some words."""
    return [
        Problem(
            id=f"p{i}",
            split="test",
            prompt=f"problem {'abcdefgh'[i]}",
            answer="done",
            steps=[Step(text=f"{words} {value} .", values={"value": value}) for value in own],
        )
        for i, own in enumerate(values)
    ]


def test_words_that_stand_before_several_values_ask_for_all_in_order():
    problems = made([["11", "12"], ["13", "14"], ["11", "15"]], "x is")
    for text, valid in [
        ("x is 11 . x is 12 .", True),
        ("x is 12 . x is 11 .", False),
        ("x is 99 . x is 11 . x is 12 .", True),
        ("x is 11 . x is 12 . x is 99 .", False),
        ("x is 12 .", False),
    ]:
        found = by_words(problems, [text, "", ""], [None, None, None])
        assert found.valid[0] is valid, text


def test_values_that_are_words():
    problems = made([["red", "dark blue"], ["green", "black"], ["blue", "red"]], "the box is")
    for text, valid, right in [
        ("the box is red . the box is dark blue .", True, [True, True]),
        ("The box is Red . The box is black .", False, [True, False]),
        ("the box is reddish . the box is dark blue .", False, [True]),
    ]:
        found = by_words(problems, [text, "", ""], [None, None, None])
        assert found.valid[0] is valid
        assert [step.right for step in found.steps[0]] == right


def test_words_are_asked_for_where_somebody_writes_in_them():
    right = judged([each.reasoning for each in CHAINS])
    rng = random.Random(0)
    wrong = judged([with_values(each, lambda *_: rng.randrange(MODULUS)) for each in CHAINS])
    other = judged([each.reasoning.replace("=", "is") for each in CHAINS])
    everybody = list(range(len(CHAINS)))

    def asked(base: Validity, tuned: Validity, writers=everybody) -> bool:
        both: dict[Role, list[int]] = {"base": writers, "tuned": writers}
        return written_in_words({"base": base, "tuned": tuned}, both)

    assert asked(right, other)
    assert asked(wrong, other), "right or wrong, it is in the words"
    assert not asked(other, other)
    assert not asked(right, right, [])


def test_by_values_alone_it_is_what_stated_says():
    outputs = [each.reasoning for each in CHAINS]
    held = stated(CHAINS, outputs, spans(outputs), named=False)
    found = by_values(held)
    assert found.valid == dict.fromkeys(held.share, True)
    assert all(found.by_chance[i] <= held.by_chance[i] for i in held.share)
    assert (found.steps, found.said) == ({}, {})
