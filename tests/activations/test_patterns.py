"""Patterns from tasks and configs neither hang nor take all memory, and match as Python's own."""

import re
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.activations import patterns
from undertext.activations.errors import UserError
from undertext.activations.patterns import find_all, matches_at_end, pattern_groups
from undertext.tasks import Grader, grade

ENDLESS = r"(?:.*?,){30}(x)"
TEXT = "1,2,3,4,5,6,7,8,9,10," * 10


def test_a_pattern_that_goes_back_for_ever_is_an_error() -> None:
    with pytest.raises(UserError, match=r"is not done with a text of 210 characters after 0\.05 seconds"):
        find_all(ENDLESS, TEXT, seconds=0.05)
    with pytest.raises(UserError, match="is not done"):
        matches_at_end(ENDLESS, TEXT, seconds=0.05)


def test_grading_stops_at_such_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    def quickly(pattern: str, text: str) -> list[patterns.Found]:
        return find_all(pattern, text, seconds=0.05)

    monkeypatch.setattr(import_module("undertext.tasks.grade"), "find_all", quickly)
    with pytest.raises(UserError, match=r"the pattern '\(\?:\.\*"):
        grade(Grader(kind="regex", pattern=ENDLESS), TEXT, "x")


@pytest.mark.parametrize(
    "pattern",
    [
        "(a{1000000})",
        "(?:(?:ab{1000}){1000}){1000}",
        "(?:" * 90 + "a" + "){2}" * 90,
        "(a{" + "9" * 5000 + "})",
        "(a{" + "9" * 500 + "})",
        "(" + "a" * 1000 + ")",
        "(" * 400 + "a" + ")" * 400,
        "a(",
        "(?P<\x1b[31m>a)",
        "(?<=a+)(b)",
    ],
)
def test_patterns_out_of_bounds_are_refused_in_one_short_line(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a regular expression") as caught:
        pattern_groups(pattern)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "pattern", [r"(\d{4})-(\d{2})-(\d{2})", r"(?s)(.*)", r"\\boxed\{([^{}]{1,200})\}", "[[a](b)"]
)
def test_everyday_patterns_are_taken(pattern: str) -> None:
    assert pattern_groups(pattern) >= 1


PATTERNS = st.sampled_from(
    [
        r"(\d+)",
        r"answer:? (\S+)",
        r"(.*)",
        r"(?i)ANSWER (\w+)|no",
        r"(?m)^(.)$",
        r"\b(\w)\b",
        r"(a|ab)(c?)",
        r"(\s)",
    ]
)


@given(PATTERNS, st.text(st.sampled_from("aAbcß \n1٣.answer:-\u2028"), max_size=20))
def test_matches_are_those_of_pythons_own(pattern: str, text: str) -> None:
    own = [(*match.span(), match.groups()) for match in re.finditer(pattern, text)]
    assert [(found.start, found.end, found.groups) for found in find_all(pattern, text)] == own
    flags, bare = re.fullmatch(r"(\(\?[a-z]+\))?(.*)", pattern).groups(default="")  # type: ignore[union-attr]
    at_end = re.search(rf"{flags}(?:{bare})\Z", text) is not None
    assert matches_at_end(pattern, text) == at_end
