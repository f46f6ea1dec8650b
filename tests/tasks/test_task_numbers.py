"""Numbers are read out of text exactly and whole, however they are written."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks.last_number import last_numbers
from undertext.tasks.numbers import numbers_in, parse_number

TEXTS = st.text(st.sampled_from("3450.,-+\u2212\u2013() \n\u00b2\u0663\uff13eEx\u662f"), max_size=12)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_every_way_of_writing_a_number_reads_back(value: Decimal) -> None:
    for written in (f"{value}", f"{value:,}", f"{value:,}".replace("-", "\u2212"), f"{value:e}"):
        assert parse_number(written) == value
        assert value in last_numbers(f"1 and ({written}).")


@given(TEXTS)
def test_a_whole_number_is_the_last_number(text: str) -> None:
    if (whole := parse_number(text)) is not None:
        assert whole in last_numbers(text)


@given(TEXTS, st.integers(0, 9))
def test_the_last_digit_is_in_the_last_number(text: str, digit: int) -> None:
    found = last_numbers(f"{text} is {digit}")
    assert found == {digit}


HALF, THREE_QUARTERS = Fraction(1, 2), Fraction(3, 4)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("The total is $1,234.", {1234}),
        ("The total is $1{,}234$.", {1234}),
        (r"so \boxed{9{,}500}", {9500}),
        (r"\(1\,234\)", {1234}),
        ("Il y en a 1 234.", {1234}),
        ("Il y en a 1\u202f234.", {1234}),
        ("1'234", {1234}),
        ("1.234,56 Euro", {Decimal("1234.56")}),
        ("3,5", {Decimal("3.5")}),
        ("1/2.", {HALF}),
        ("\u00bd", {HALF}),
        ("so 3 / 4", {THREE_QUARTERS}),
        (r"\frac{3}{4}", {THREE_QUARTERS}),
        (r"\frac34", {THREE_QUARTERS}),
        ("-1/2", {-HALF}),
        ("It is 2 1/2 hours", {2 + HALF}),
        ("3\u00bd", {3 + HALF}),
        ("x = 3/2", {3 * HALF}),
        ("12 cm^2", {12}),
        ("12 cm\u00b2", {12}),
        ("y = 4 x^{-12}", {4}),
        ("7 and x_1", {7}),
        ("about 3 x 10^5", {300000}),
        (r"3 \times 10^{5}", {300000}),
        ("3 \u00d7 10\u207b\u00b9", {Decimal("0.3")}),
        ("2^10", {1024}),
        ("2**10", {1024}),
        ("**42**", {42}),
        ("50%", {50, Decimal("0.5")}),
        (r"50\%", {50, Decimal("0.5")}),
        ("-$5", {-5}),
        ("- 5", {-5}),
        ("\u2212 3", {-3}),
        (r"\boxed{- 5}", {-5}),
        ("x = - 5", {-5}),
        ("8 - 5", {5}),
        ("- 5 apples", {5}),
        ("3-7", {7}),
        ("0x2A", {42}),
        ("(1,200)", {1200}),
        ("The primes are 101,103,107", {107, 101103107}),
        ("1,2,3", {3}),
        ("12 5", {5}),
        ("9 at 10:30", set()),
        ("9 on 2024-05-17", set()),
        ("9 on 17/05/2024", set()),
        ("9 in 1.2.3", set()),
        ("1/0", set()),
        ("2^999999999", set()),
        ("3 x 10^" + "9" * 50, set()),
        ("1/" + "3" * 100, set()),
    ],
)
def test_the_last_number_is_read_whole(text: str, last: set[int | Decimal | Fraction]) -> None:
    assert last_numbers(text) == last


@given(
    st.integers(1, 999),
    st.lists(st.integers(0, 999), min_size=1, max_size=3),
    st.sampled_from([",", "{,}", r"\,", "'", "\u2019", "\u00a0", "\u202f", "_"]),
)
def test_no_part_of_a_grouped_number_is_a_number(head: int, tail: list[int], separator: str) -> None:
    written = separator.join([str(head), *(f"{group:03}" for group in tail)])
    values = {n.value for n in numbers_in(f"It is {written} now")}
    assert Decimal(written.replace(separator, "")) in values
    if len(tail) == 1:
        assert len(values) == 1


@given(
    st.text(
        st.sampled_from("0123.,-+/^_*:%{}\\ x'\u2212\u00bd\u00b2\u2075e$()") | st.characters(), max_size=30
    )
)
def test_numbers_stand_where_they_say_and_nothing_raises(text: str) -> None:
    for number in numbers_in(text):
        assert 0 <= number.start < number.end <= len(text)
        assert any(c.isnumeric() for c in text[number.start : number.end])
