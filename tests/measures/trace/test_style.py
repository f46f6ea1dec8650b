"""How outputs are written: markers by hand, and against a search for one marker at a time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trails_task import written
from undertext.activations import UserError
from undertext.measures.trace.style import (
    BACKTRACKING,
    DOUBT,
    HEDGES,
    Markers,
    ends_in_a_loop,
    open_markers,
    style_of,
)

SHIPPED = open_markers()


def test_the_case_of_the_docs():
    trail = written("Maybe a = 4 ; wait , maybe not ; I am sure a = 5 ; answer 5")
    found = style_of(trail, SHIPPED)
    assert found.words == 13
    said = {name: count for name, count in found.markers.items() if count}
    assert said == {HEDGES: 2, "boosters": 1, "self-mention": 1, BACKTRACKING: 1}
    assert found.rate(*DOUBT) == pytest.approx(100 * 3 / 13)
    assert (found.backtracks, found.mended) == (1, True)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Mayor Mays may maybe", {HEDGES: 2}),
        ("not sure", {HEDGES: 1}),  # and no booster within it
        ("sure, I'm UNSURE", {"boosters": 1, "self-mention": 1, HEDGES: 1}),
        ("Surprisingly, let us see", {"attitude markers": 1, "engagement markers": 2}),
        ("note that you", {"engagement markers": 2}),
        ("We think my way is odd", {"self-mention": 2, "attitude markers": 1}),
        ("I think so", {HEDGES: 1}),  # and no self-mention within it
        ("let me check", {BACKTRACKING: 1}),
        ("for i in us", {"self-mention": 1}),  # a variable is no writer
        ("seesaw yours truly usual", {"engagement markers": 1}),
        ("that\u2019s  wrong", {BACKTRACKING: 1}),
        ("no\n doubt", {"boosters": 1}),
        ("waiter awaits", {}),
        ("", {}),
    ],
)
def test_markers_by_hand(text, wanted):
    assert SHIPPED.counts(text) == {name: wanted.get(name, 0) for name in SHIPPED.categories}


def test_no_category_takes_what_voices_doubt():
    """Doubt is the same as it would be by these two categories alone."""
    doubt = {name: SHIPPED.by_category[name] for name in DOUBT}
    alone = Markers(doubt)
    for words in SHIPPED.by_category.values():
        for word in words:
            for text in (word, f"I {word}", f"{word} about", f"let us {word} so"):
                # Certainty of what is not certain is doubt: boosters do not take part in this.
                if word not in SHIPPED.by_category["boosters"]:
                    assert SHIPPED.rate(text, DOUBT) == pytest.approx(alone.rate(text, DOUBT)), text


WORDS = ("may", "maybe", "sure", "surely", "so", "5", ",", "wait")


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.sampled_from([" ", "", "-"]))
def test_single_words_are_found_as_each_is_alone(words, between):
    markers = Markers({"one": ["may", "sure"], "other": ["maybe", "wait"]})
    text = between.join(words)
    for name, own in {"one": ("may", "sure"), "other": ("maybe", "wait")}.items():
        alone = sum(len(re.findall(rf"(?<!\w){word}(?!\w)", text)) for word in own)
        assert markers.counts(text)[name] == alone


def test_an_empty_output_has_no_style():
    found = style_of(written(""), SHIPPED)
    assert (found.words, found.rate(HEDGES), found.repeated, found.mended) == (0, None, None, None)


def test_repetition_is_the_share_of_runs_that_were_there_before():
    assert style_of(written("a b c d a b c d"), SHIPPED).repeated == pytest.approx(1 / 5)
    assert style_of(written("a b c"), SHIPPED).repeated is None
    assert style_of(written("so " * 500), SHIPPED).repeated == pytest.approx(1 - 1 / 497)


@pytest.mark.parametrize(
    ("text", "unfinished", "mended"),
    [
        ("a = 4 ; wait ; a = 5 ; answer 5", False, True),
        ("a = 5 ; wait ; a = 5 ; answer 5", False, False),
        ("wait ; a = 5 ; answer 5", False, None),  # nothing was said before
        ("a = 4 ; wait ; a = 5", True, True),
        ("a = 4 ; wait ; so", True, None),
        ("a = 1 ; wait a = 1 ; b = 4 ; c = 7 ; answer 7", False, False),
        ("a = 1 ; wait a = 3 ; b = 4 ; c = 1 ; answer 1", False, True),
        ("a = 8 ; wait , 3 + 5 = 8 ; b = 2 ; answer 2", False, False),
        ("a = 4 ; wait , 4 is wrong , 5 ; answer 4", False, True),
        ("a = 4 ; answer 5", False, None),
    ],
)
def test_what_came_of_a_backtrack(text, unfinished, mended):
    assert style_of(written(text, unfinished=unfinished), SHIPPED).mended is mended


def test_a_file_of_one_s_own(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("doubt: [peut-\u00eatre, 'il se peut']\n", encoding="utf-8")
    own = open_markers(file)
    assert own.counts("Peut-\u00eatre ; il  se peut ; peut") == {"doubt": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hedges: [may]\nboosters: [May]\n", "expected each marker in one category, 'may' is in 2"),
        ("hedges: []\n", "expected words or phrases in 'hedges'"),
        ("hedges: [' ']\n", "none of them blank"),
        ("hedges: may\n", "hedges"),
        ("- may\n", "expected keys and values"),
        ("{}\n", "at least 1"),
    ],
)
def test_files_that_are_none(tmp_path, text, said):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        open_markers(file)
    with pytest.raises(UserError, match="expected a file of markers"):
        open_markers(tmp_path / "nowhere.yaml")


def test_the_rate_of_a_text_is_that_of_its_style():
    text = "Maybe a = 4 ; wait , maybe not ; I am sure a = 5 ; answer 5"
    own = style_of(written(text), SHIPPED)
    assert SHIPPED.rate(text, DOUBT) == own.rate(*DOUBT) == 100 * 3 / own.words
    assert SHIPPED.rate(" ; ", DOUBT) is None


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("", False),
        ("no", False),
        ("no " * 13, False),  # 38 characters
        ("no " * 14, True),
        ("x" * 39, False),
        ("x" * 40, True),
        ("first the sum is 4 ; " * 3, True),
        ("first the sum is 4 ; " * 2, False),
        ("first the sum is 4 ; " * 3 + "answer 4", False),
        ("first the sum is 4 ; " * 4 + "first the", True),
        ("a = 1 ; b = 2 ; c = 3 ; d = 4 ; e = 5 ; f = 6 ; g = 7 ; h = 8 ;", False),
        ("wait,\n\n no\t" * 6, True),
    ],
)
def test_a_loop_at_the_end_by_hand(text, loops):
    assert ends_in_a_loop(text) is loops


@given(st.text(st.sampled_from("ab "), max_size=12), st.integers(1, 30), st.text(max_size=30))
def test_what_is_repeated_until_the_end_is_a_loop(unit, times, before):
    whole = " ".join(unit.split())
    text = before + unit * times
    if times >= 4 and len(unit) * times >= 60 and len(whole) == len(unit):
        assert ends_in_a_loop(text)
