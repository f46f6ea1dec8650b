"""The number that an output gives as its answer: not what a bracket adds, and in words too."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks import Grade, Grader, grade
from undertext.tasks.grade import find_answer
from undertext.tasks.last_number import last_numbers, within

_words = re.compile(r"\w+").findall
SMALL = [
    *_words("zero one two three four five six seven eight nine ten eleven twelve"),
    *_words("thirteen fourteen fifteen sixteen seventeen eighteen nineteen"),
]
TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")


def spelt(n: int, join: str = "-", between: str = " and ") -> str:
    """`n` in English words, by itself: not by the reader's own grammar."""
    if n < 20:
        return SMALL[n]
    if n < 100:
        return TENS[n // 10 - 2] + (join + SMALL[n % 10] if n % 10 else "")
    if n < 1000:
        return f"{SMALL[n // 100]} hundred" + (between + spelt(n % 100, join) if n % 100 else "")
    scale, word = (10**6, "million") if n >= 10**6 else (1000, "thousand")
    return f"{spelt(n // scale, join, between)} {word}" + (
        f" {spelt(n % scale, join, between)}" if n % scale else ""
    )


def in_chinese(n: int) -> str:
    digits, units = "零一二三四五六七八九", ["", "十", "百", "千"]
    if n >= 10**4:
        rest = n % 10**4
        return in_chinese(n // 10**4) + "万" + ("" if not rest else "零" * (rest < 1000) + in_chinese(rest))
    said, skipped = "", False
    for at, digit in enumerate(str(n)):
        unit = len(str(n)) - 1 - at
        if digit == "0":
            skipped = True
            continue
        said += ("零" if skipped and said else "") + digits[int(digit)] + units[unit]
        skipped = False
    return said


@given(st.integers(2, 10**9 - 1), st.sampled_from("- "), st.sampled_from([" and ", " "]), st.booleans())
def test_english_words_are_the_number_they_say(n: int, join: str, between: str, below: bool) -> None:
    words = ("minus " if below else "") + spelt(n, join, between)
    value = -n if below else n
    for text in (words, words.capitalize() + ".", f"The answer is {words} apples.", f"2 + 3: {words}"):
        assert last_numbers(text) == {value}, text


@given(st.integers(2, 10**8 - 1))
def test_chinese_words_are_the_number_they_say(n: int) -> None:
    assert last_numbers(in_chinese(n)) == {n}
    assert last_numbers(f"答案是{in_chinese(n)}。") == {n}


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("42 (rounded from 41.7)", {42}),
        ("f(x_1) is 7 (see eq. 3)", {7}),
        ("7 (step 2), as said (not 9)", {7}),
        ("(1,200)", {1200}),
        ("ten (10)", {10}),
        ("5 apples (12 pears)", {12}),
        ("(see page 3)", set()),
        ("three hundred and five", {305}),
        ("two point five", {Decimal("2.5")}),
        ("a hundred", {100}),
        ("two three", {3}),
        ("3 and 4 make seven", {7}),
        ("there are 42 apples in the two baskets", {42}),
        ("7 is the right one", {7}),
        ("42 is one of them", {42}),
        ("It is one.", {1}),
        ("the other one", set()),
        ("一起", set()),
        ("二〇二四", {2024}),
        ("答案是一", {1}),
        ("hundred hundred", {100}),
        ("someone", set()),
    ],
)
def test_what_counts_as_the_answer(text: str, last: set[int | Decimal]) -> None:
    assert last_numbers(text) == last


@given(st.text(st.sampled_from("one two(and) thousand 7.,-百万一point ")))
def test_any_text_is_read_and_what_is_found_stands_in_it(text: str) -> None:
    last_numbers(text)
    if (span := find_answer(Grader(kind="number"), text)) is not None:
        assert 0 <= span[0] < span[1] <= len(text)


def test_words_are_right_but_for_their_form():
    assert grade(Grader(kind="number"), "So it is forty-two.", "42") == Grade(False, True)
    assert grade(Grader(kind="number"), "So it is forty-two.", "2") == Grade(False, False)


@pytest.mark.parametrize("pattern", [r"\\boxed\{(.*)\}", r"\\boxed{(.+?)}", r"\\boxed\{([^{}]*)\}"])
def test_a_pattern_for_a_box_holds_what_its_braces_hold(pattern: str) -> None:
    grader = Grader(kind="regex", pattern=pattern)
    half = r"\frac{1}{2}"
    assert grade(grader, rf"so \boxed{{{half}}}", half) == Grade(True, True)
    assert grade(grader, r"so \boxed{42} and \boxed{43}", "43") == Grade(True, True)
    assert grade(grader, r"so \boxed{42} and \boxed{43}", "42") == Grade(False, False)
    assert grade(grader, r"\boxed{7} where {x}", "7") == Grade(False, True)
    long = "9" * 600
    assert grade(grader, rf"\boxed{{{long}}}", long) == Grade(True, True)
    assert find_answer(grader, r"so \boxed{42}.") == (10, 12)


@given(st.lists(st.integers(0, 30), max_size=8, unique=True), st.integers(0, 30), st.integers(0, 30))
def test_what_is_within_is_what_a_look_at_every_span_finds(edges: list[int], start: int, end: int) -> None:
    ordered = sorted(edges)
    spans = list(zip(ordered[::2], ordered[1::2], strict=False))
    assert within(spans, start, end) == any(a <= start and end <= b for a, b in spans)
