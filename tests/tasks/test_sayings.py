"""Values are found where steps say them, numbers as numbers; what is not said, or said twice, is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks import (
    Problem,
    Step,
    new_chain,
    reading_text,
    said_positions,
    unsaid_positions,
    value_positions,
    values_not_said,
    values_said_twice,
)

MINUS = "\u2212"


def problem(text: str, value: str | int | float) -> Problem:
    return Problem(
        id="p", split="test", prompt="Q?", answer="1", steps=[Step(text=text, values={"v": value})]
    )


@pytest.mark.parametrize(
    ("text", "value", "before"),
    [
        ("1,000 + 234 = 1,234.", 1234, "1,000 + 234 = "),
        ("1,000 + 234 = 1,234.", "1,234", "1,000 + 234 = "),
        ("3 - 8 = -5 degrees.", -5, "3 - 8 = "),
        (f"3 - 8 = {MINUS}5 degrees.", -5, "3 - 8 = "),
        ("x=-5", -5, "x="),
        ("x = - 5", -5, "x = "),
        ("50 / 100 = 0.5.", 0.5, "50 / 100 = "),
        ("That is .5 of it.", 0.5, "That is "),
        ("= 0.50 dollars", 0.5, "= "),
        ("= 7.00", 7, "= "),
        ("= 2,000.0", 2000.0, "= "),
        ("so $1,250.50 left", 1250.5, "so $"),
        ("total is 1 234 km", 1234, "total is "),
        ("Ergebnis: 3,5", 3.5, "Ergebnis: "),
        ("1/3 of 9 is 3.", 3, "1/3 of 9 is "),
        ("5% of 20 = 1.", 1, "5% of 20 = "),
        ("\u00a312", 12, "\u00a3"),
        ("8 + 7 = 15cm", 15, "8 + 7 = "),
        ("48/2 = <<48/2=24>>24 clips", 24, "48/2 = <<48/2="),
    ],
)
def test_a_number_is_read_before_it_is_said(text: str, value: str | int | float, before: str) -> None:
    p = problem(text, value)
    (position,) = value_positions(p)
    assert reading_text(p)[: position.char_offset] == f"Q? {before}"
    assert not position.maybe_said
    assert unsaid_positions(p) == [position]
    assert (values_not_said([p]), values_said_twice([p])) == ({}, {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("So 1,234 in all.", 234),
        ("So 1,234 in all.", "234"),
        ("3 - 8 = -5 degrees.", 5),
        (f"3 - 8 = {MINUS}5 degrees.", 5),
        ("So 3/4 of it.", 3),
        ("So 3/4 of it.", 4),
        ("It's 10:30.", 30),
        ("Ergebnis: 3,5", 5),
        ("area = 9 cm^2", 2),
        ("x3 it is", 3),
        ("seven", 7),
        ("North", "north"),
    ],
)
def test_a_value_that_is_not_said_is_counted_and_nothing_rests_on_it(text: str, value: str | int) -> None:
    p = problem(text, value)
    (position,) = value_positions(p)
    assert position.maybe_said
    assert reading_text(p)[: position.char_offset] == f"Q? {text}"
    assert (unsaid_positions(p), said_positions(p)) == ([], [])
    assert (values_not_said([p, p]), values_said_twice([p])) == ({"v": 2}, {})


@pytest.mark.parametrize(
    ("text", "value", "before"),
    [
        ("12 + 222 = 234, and 1,000 + 234 = 1,234.", 234, "12 + 222 = 234, and 1,000 + "),
        ("2e3 = 2000.", 2000, "2e3 = "),
        ("1,234, so 1234", 1234, "1,234, so "),
        ("15cm, so 15", 15, "15cm, so "),
        ("48/2 = <<48/2=24>>24, so 24", 24, "48/2 = <<48/2=24>>24, so "),
        ("North, so north", "north", "North, so "),
    ],
)
def test_a_value_said_before_its_place_is_counted_apart(text: str, value: str | int, before: str) -> None:
    p = problem(text, value)
    (position,) = value_positions(p)
    assert position.maybe_said
    assert reading_text(p)[: position.char_offset] == f"Q? {before}"
    assert unsaid_positions(p) == []
    assert (values_not_said([p]), values_said_twice([p])) == ({}, {"v": 1})


def test_what_is_said_ends_where_the_text_says_it() -> None:
    p = problem("= 1,234.", 1234)
    (position,) = said_positions(p)
    assert reading_text(p)[position.char_offset :] == "."


def test_values_read_at_the_end_of_the_prompt_are_unsaid() -> None:
    p = Problem(id="p", split="test", prompt="Q?", answer="1", values={"v": 3})
    assert unsaid_positions(p) == value_positions(p)
    assert values_not_said([p]) == {}


def test_every_value_of_the_chain_is_said_once() -> None:
    problems = new_chain(0, train=20, dev=5, test=5, ood=5).problems
    assert (values_not_said(problems), values_said_twice(problems)) == ({}, {})


@given(st.integers(-(10**7), 10**7), st.sampled_from(["{}", "{:,}", "{}.0", "{:,}.00"]), st.booleans())
def test_every_way_of_writing_a_number_is_found(value: int, form: str, minus: bool) -> None:
    written = form.format(value)
    written = written.replace("-", MINUS) if minus else written
    p = problem(f"which makes {written} of them", value)
    (position,) = value_positions(p)
    assert reading_text(p)[position.char_offset :] == f"{written} of them"
    assert not position.maybe_said


@given(st.integers(1000, 10**7), st.integers(1, 999))
def test_no_part_of_a_number_is_found(value: int, part: int) -> None:
    assert value_positions(problem(f"which makes {value:,} of them", part))[0].maybe_said
