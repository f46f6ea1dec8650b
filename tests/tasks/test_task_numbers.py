"""Numbers are read out of text exactly, however they are written."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks.grade import last_number, parse_number

TEXTS = st.text(st.sampled_from("3450.,-+\u2212\u2013() \n\u00b2\u0663\uff13eEx\u662f"), max_size=12)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_every_way_of_writing_a_number_reads_back(value: Decimal) -> None:
    for written in (f"{value}", f"{value:,}", f"{value:,}".replace("-", "\u2212"), f"{value:e}"):
        assert parse_number(written) == value
        assert last_number(f"1 and ({written}).") == value


@given(TEXTS)
def test_a_whole_number_is_the_last_number(text: str) -> None:
    if (whole := parse_number(text)) is not None:
        assert last_number(text) == whole


@given(TEXTS, st.integers(0, 9))
def test_the_last_digit_is_in_the_last_number(text: str, digit: int) -> None:
    found = last_number(f"{text} {digit}")
    assert found == digit
