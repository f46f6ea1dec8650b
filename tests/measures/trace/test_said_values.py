"""What a text says after some words: values in one piece, calculations, and what is none, by hand."""

from decimal import Decimal
from fractions import Fraction

import pytest

from undertext.measures.trace.said_values import values_after

WORDS = ("e", "=")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("e = 5 ;", [5]),
        ("e=5, f=4", [5]),
        ("e = 5 ; wait e = 3", [5, 3]),
        ("e = -5", [-5]),
        ("e = 1/2", [Fraction(1, 2)]),
        # A calculation counts by what it comes to.
        ("e = 6 * 2 = 12 mod 7 = 5 ;", [5]),
        ("e = d * 2 = 5 ; f = 4", [5]),
        ("e = 48/2 = 24", [24]),
        ("e = 12 -7 = 5", [5]),
        ("e = 12 (mod 7) = 5", [5]),
        ("e = 12 \u2261 5 (mod 7).", [5]),
        ("e = (3 + 4) * 2 = 14", [14]),
        ("e = 2 x 3 = 6", [6]),
        ("e = 4 apples + 2 apples = 6 apples", [6]),
        ("e = 1,234 + 1 = 1,235", [1235]),
        # What comes to nothing says nothing.
        ("e = 6 * 2", []),
        ("e = d", []),
        ("e = ?", []),
        # What stands beside the value is no part of it.
        ("e = 5 - then f = 4", [5]),
        ("e = 5\n- f = 4", [5]),
        ("e = 5 and f = 4", [5]),
        ("e = 5 cost = 3", [5]),
        ("e = 5 +", [5]),
        ("e = 3 = ?", [3]),
        ("e is 5", []),
        ("", []),
    ],
)
def test_by_hand(text, values):
    assert [value for _, value in values_after(text, WORDS)] == values


def test_places_are_those_of_the_values_and_the_answer_is_left_out():
    text = "e = 6 * 2 = 12 ; e = 7"
    assert values_after(text, WORDS) == [(12, Decimal(12)), (21, Decimal(7))]
    assert values_after(text, WORDS, without=(21, 22)) == [(12, Decimal(12))]
    assert values_after(text, WORDS, worked_out=False) == [(4, Decimal(6)), (21, Decimal(7))]


def test_words_as_values():
    assert values_after("E = Dark blue ; e = reddish", WORDS, among=["dark blue", "red"]) == [
        (4, "dark blue")
    ]


def test_a_calculation_without_end_says_nothing():
    assert values_after("e = " + "1 + " * 1000 + "1 = 5", WORDS) == []
    assert values_after("e = " + "1 = " * 1000, WORDS) == []
