"""Grading: each kind's strict and lenient rule, by example and by property."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks import Grade, Grader, grade
from undertext.tasks.numbers import parse_number

EXACT, NUMBER, CHOICE = Grader(kind="exact"), Grader(kind="number"), Grader(kind="choice")
ANSWER = Grader(kind="regex", pattern=r"answer:? (\S+)")

BOTH, FORM, WRONG = Grade(True, True), Grade(False, True), Grade(False, False)
"""Right in both ways; right but for its form; wrong."""


@pytest.mark.parametrize(
    ("output", "answer", "expected"),
    [
        (" Paris\n", "Paris", BOTH),
        ("paris", "Paris", FORM),
        ("It is in France.\n\n  **Paris**.  \n", "Paris", FORM),
        ("new\t york", "New York", FORM),
        ("New\nYork", "New York", FORM),
        ("STRASSE", "straße", FORM),
        ("cafe\u0301", "café", FORM),
        ("Paris, France", "Paris", WRONG),
        ("", "Paris", WRONG),
        ("Lyon\nParis\nNice", "Paris", WRONG),
        ("3", "-3", WRONG),
        ("-3", "3", WRONG),
        ("5", ".5", WRONG),
        ("50", "50%", WRONG),
        ("", "?", WRONG),
        ("!", "?", WRONG),
        ("?", "?", BOTH),
        ("", "**", WRONG),
    ],
)
def test_exact(output: str, answer: str, expected: Grade) -> None:
    assert grade(EXACT, output, answer) == expected


@pytest.mark.parametrize(
    ("output", "answer", "expected"),
    [
        ("7", "7", BOTH),
        (" 7.0\n", "7", BOTH),
        ("+7", "7", BOTH),
        ("1,250", "1250", BOTH),
        ("1250", "1,250.00", BOTH),
        ("-3", "-3", BOTH),
        ("\u22123", "-3", BOTH),
        ("-3", "\u22123", BOTH),
        ("7e2", "700", BOTH),
        (".5", "0.5", BOTH),
        ("-0", "0", BOTH),
        ("٣", "3", BOTH),
        ("\uff13", "3", BOTH),
        ("7.", "7", FORM),
        ("3 + 4 = 7", "7", FORM),
        ("The answer is 7 apples.", "7", FORM),
        ("$1,250.50!", "1250.5", FORM),
        ("so x=-3", "-3", FORM),
        ("(\u22123)", "-3", FORM),
        ("答案是-3。", "-3", FORM),
        ("答案是7", "7", FORM),
        ("5-3", "3", FORM),
        ("x-3", "3", FORM),
        ("(1+2)-3", "3", FORM),
        ("1-3", "-3", WRONG),
        ("7 then 8", "7", WRONG),
        ("1,2,3", "123", WRONG),
        ("1,2,3", "3", FORM),
        ("12,34", "1234", WRONG),
        ("wait...5", "5", FORM),
        ("7²", "49", FORM),
        ("7²", "7", WRONG),
        ("²", "2", WRONG),
        ("", "0", WRONG),
        ("-", "0", WRONG),
        (".", "0", WRONG),
        ("none", "0", WRONG),
        ("NaN", "0", WRONG),
        ("0.1000000000000000000001", "0.1", WRONG),
        ("10000000000000000000001", "10000000000000000000000", WRONG),
        ("1e99999999999999999999", "1", WRONG),
        ("3", "\u22123", WRONG),
        ("-3", "3", WRONG),
        (r"so \boxed{9{,}500}", "9500", FORM),
        (r"so \boxed{9{,}500}", "500", WRONG),
        ("The probability is 1/2.", "0.5", FORM),
        ("The probability is 1/2.", "2", WRONG),
        (r"\frac{3}{4}", "4", WRONG),
        ("The area is 12 cm^2", "12", FORM),
        ("The area is 12 cm^2", "2", WRONG),
        ("about 3 x 10^5", "5", WRONG),
        ("It is 10:30", "30", WRONG),
        (r"so it is \sqrt{2}", "2", WRONG),
        ("that is 2\u221a3", "3", WRONG),
        ("sqrt(16) = 4", "4", FORM),
        (r"\log_{2}(8) = 3", "3", FORM),
        (r"\log_{2}(8)", "8", WRONG),
        ("the length is 2\u03c0", "2", WRONG),
        ("the length is 2 pi = 6.28", "6.28", FORM),
        ("2 pins", "2", FORM),
        ("catalog (5)", "5", FORM),
        ("in the final round (5)", "5", FORM),
        ("It is on floor (3)", "3", FORM),
        ("round(4.6)", "4.6", WRONG),
        ("in part Q1", "1", WRONG),
        ("42 by lemma a1", "42", FORM),
        ("USD5", "5", FORM),
        ("3\u00bd", "3", WRONG),
    ],
)
def test_number(output: str, answer: str, expected: Grade) -> None:
    assert grade(NUMBER, output, answer) == expected


@pytest.mark.parametrize(
    ("output", "answer", "expected"),
    [
        ("B", "B", BOTH),
        (" (B)\n", "B", BOTH),
        ("[B].", "B", BOTH),
        ("B)", "B", BOTH),
        ("B.", "B", BOTH),
        ("b", "b", BOTH),
        ("(b)", "B", FORM),
        ("The answer is B.", "B", FORM),
        ("**B**", "B", FORM),
        ("\\boxed{B}", "B", FORM),
        ("A or B? B", "B", FORM),
        ("答案是B。", "B", FORM),
        ("B, I think", "B", FORM),
        ("B. I'm sure", "B", FORM),
        ("B, the only option(s) for f(x)", "B", FORM),
        ("B: it's a T-shirt", "B", FORM),
        ("I", "I", BOTH),
        ("B", "b", FORM),
        ("the answer is b", "b", FORM),
        ("b", "B", FORM),
        ("Answer: b)", "B", FORM),
        ("the answer is b", "B", FORM),
        ("the answer is a cat", "A", WRONG),
        ("a cat", "A", WRONG),
        ("A, no: C", "A", WRONG),
        ("BAD", "B", WRONG),
        ("B2", "B", WRONG),
        ("Été", "T", WRONG),
        ("", "B", WRONG),
        ("()", "B", WRONG),
    ],
)
def test_choice(output: str, answer: str, expected: Grade) -> None:
    assert grade(CHOICE, output, answer) == expected


@pytest.mark.parametrize(
    ("output", "answer", "expected"),
    [
        ("a = 3 ; answer 3", "3", BOTH),
        ("answer 3 \n", "3", BOTH),
        ("answer 1 answer 3", "3", BOTH),
        ("answer 3 answer 1", "3", WRONG),
        ("answer 3 and more", "3", FORM),
        ("answer 3.0", "3", FORM),
        ("answer: **3**.", "3", FORM),
        ("answer \u22123", "-3", FORM),
        ("answer paris", "Paris", FORM),
        ("answer 3x", "3", WRONG),
        ("answer x3", "3", WRONG),
        ("answer $18.", "18", FORM),
        ("answer 18%", "18", FORM),
        ("answer 9{,}500", "9500", FORM),
        ("answer 9{,}500", "500", WRONG),
        ("answer 3/4", "4", WRONG),
        ("3", "3", WRONG),
        ("", "3", WRONG),
    ],
)
def test_regex(output: str, answer: str, expected: Grade) -> None:
    assert grade(ANSWER, output, answer) == expected


def test_a_group_that_says_one_number_is_that_number() -> None:
    grader = Grader(kind="regex", pattern="answer is (.*)")
    assert grade(grader, "The answer is 1,234 dollars.", "1234") == FORM
    assert grade(grader, "The answer is 5 or 6", "6") == WRONG


def test_regex_whose_last_match_leaves_the_group_out() -> None:
    grader = Grader(kind="regex", pattern=r"answer (\d+)|give up")
    assert grade(grader, "answer 3", "3") == BOTH
    assert grade(grader, "answer 3, no, I give up", "3") == WRONG


def test_regex_that_can_match_nothing_still_finds_the_answer() -> None:
    assert grade(Grader(kind="regex", pattern="(.*)"), "3", "3") == BOTH
    assert grade(Grader(kind="regex", pattern=r"(\d*)"), "so 3.", "3") == FORM


ALPHABET = "aAbBI3450.,-+\u2212\u2013()[]{}*_?!'\u2019 \n\t²٣\uff13eE是ßé\u0301answer:"
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=12) | st.text(max_size=12)
GRADERS = st.sampled_from([EXACT, NUMBER, CHOICE, ANSWER, Grader(kind="regex", pattern=r"(?s)(.*)")])


@given(GRADERS, TEXTS, TEXTS)
def test_strict_implies_lenient_and_nothing_raises(grader: Grader, output: str, answer: str) -> None:
    result = grade(grader, output, answer)
    assert result.lenient or not result.strict


@given(GRADERS.filter(lambda g: g != ANSWER), TEXTS)
def test_an_answer_is_graded_right_against_itself(grader: Grader, answer: str) -> None:
    gradable = {
        "number": parse_number(answer) is not None,
        "choice": re.fullmatch("[A-Za-z]", answer.strip()) is not None,
    }
    if gradable.get(grader.kind, True):
        assert grade(grader, f" {answer}\n", answer) == BOTH


@given(st.text(max_size=8), st.sampled_from(["3", "-3", "B", "b", "Paris", "?"]))
def test_nothing_that_says_no_letter_or_digit_is_right(noise: str, answer: str) -> None:
    empty = "".join(c for c in noise if not c.isalnum() and c != "?")
    for grader in (EXACT, NUMBER, CHOICE, ANSWER):
        assert grade(grader, empty, answer) == WRONG


def test_only_a_pattern_asks_for_a_form() -> None:
    assert ANSWER.asks_for_form
    assert not any(grader.asks_for_form for grader in (EXACT, NUMBER, CHOICE))
    assert NUMBER.strict_form == "the answer and nothing else"
