"""Where values are read: always in the reading text, and never after the step has said them."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks import Problem, Step, ValuePosition, join, new_chain, reading_text, value_positions
from undertext.tasks.value_positions import step_positions, steps_read


def problem(prompt: str = "Q?", **fields: Any) -> Problem:
    return Problem(id="p", split="test", prompt=prompt, answer="9", **fields)


def read_before(p: Problem) -> list[tuple[str, str]]:
    """Each value's name, and the reading text up to where it is read."""
    return [(site.name, reading_text(p)[: site.char_offset]) for site in value_positions(p)]


@pytest.mark.parametrize(
    ("prompt", "text", "joined"),
    [
        ("Q?", "A", "Q? A"),
        ("Q? ", "A", "Q? A"),
        ("Q?\n", "A", "Q?\nA"),
        ("Q?\u00a0", "A", "Q?\u00a0A"),
        ("Q?", "\nA", "Q?\nA"),
        ("Q? ", " A", "Q?  A"),
    ],
)
def test_join(prompt: str, text: str, joined: str) -> None:
    assert join(prompt, text) == joined


def test_values_are_read_just_before_their_step_says_them() -> None:
    steps = [
        Step(text="b = 3 ;", values={"b": 3}),
        Step(text="c = 5 ;", values={"c": 5}),
    ]
    p = problem(trace="hm 3 5. b = 3 ; c = 5 ; answer 5", steps=steps)
    assert read_before(p) == [("b", "Q? hm 3 5. b = "), ("c", "Q? hm 3 5. b = 3 ; c = ")]
    at = len("Q? hm 3 5. b = 3 ; c = ")
    assert value_positions(p)[1] == ValuePosition("c", 5, at, said_after="c = ", said_end=at + 1, step=2)


def test_each_place_knows_its_step_and_the_prompt_has_none() -> None:
    steps = [
        Step(text="b = 3 ;", values={"b": 3}),
        Step(text="so"),
        Step(text="d 3 is", values={"d": 3, "e": 4}),
    ]
    p = problem(trace="b = 3 ; so d 3 is", steps=steps)
    assert [(site.name, site.step) for site in value_positions(p)] == [("b", 1), ("d", 3), ("e", 3)]
    assert steps_read([p, problem(values={"v": 1}), p]) == [1, 3, 0, 1, 3]  # `e` is not said
    assert [site.step for site in step_positions(p)] == [1, 2, 3]


@pytest.mark.parametrize("prompt", ["Q?\n", "Q? ", "Q?"])
def test_offsets_count_from_the_start_of_the_reading_text(prompt: str) -> None:
    p = problem(prompt, trace="so 4", steps=[Step(text="so 4", values={"v": 4})])
    (site,) = value_positions(p)
    assert reading_text(p)[site.char_offset :] == "4"


@pytest.mark.parametrize(
    ("text", "value", "before"),
    [
        ("3 + 4 = 7", 7, "3 + 4 = "),
        ("3 + 3 = 6, x = 3.", 3, "3 + 3 = 6, x = "),
        ("3 is it", 3, ""),
        ("3 makes 13", 3, ""),
        ("3 makes 31, x3, 3x, 3.5, 0.3", 3, ""),
        ("y = -3", -3, "y = "),
        ("0.5 or 10.5", 0.5, ""),
        ("go north, northeast", "north", "go "),
        ("go to a.b", "a.b", "go to "),
        ("a+b", "+", "a"),
        ("值是3。", 3, "值是"),
        ("no value said", 3, "no value said"),
        ("13", 3, "13"),
        ("seven", 7, "seven"),
        ("North", "north", "North"),
    ],
)
def test_a_value_is_found_as_a_whole_word_or_read_at_the_end(text: str, value: Any, before: str) -> None:
    p = problem("Q?\n", trace=f"first. {text} ; and on", steps=[Step(text=text, values={"v": value})])
    (site,) = value_positions(p)
    assert (site.name, site.value) == ("v", value)
    assert reading_text(p)[: site.char_offset] == "Q?\nfirst. " + before


def test_each_value_of_a_step_has_its_own_site_in_order() -> None:
    step = Step(text="carry 1 write 4", values={"write": 4, "carry": 1, "total": 14})
    p = problem(
        trace="carry 1 write 4 done",
        steps=[Step(text="carry"), step.model_copy(update={"text": "1 write 4"})],
    )
    assert read_before(p) == [
        ("write", "Q? carry 1 write "),
        ("carry", "Q? carry "),
        ("total", "Q? carry 1 write 4"),
    ]


def test_repeated_steps_are_told_apart() -> None:
    steps = [Step(text="go 1", values={"a": 1}), Step(text="go 1", values={"b": 1})]
    assert read_before(problem(trace="go 1 go 1", steps=steps)) == [("a", "Q? go "), ("b", "Q? go 1 go ")]


def test_steps_stand_in_for_a_trace() -> None:
    p = problem(steps=[Step(text="b = 3", values={"b": 3}), Step(text="c = 5", values={"c": 5})])
    assert reading_text(p) == "Q? b = 3 c = 5"
    assert read_before(p) == [("b", "Q? b = "), ("c", "Q? b = 3 c = ")]


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({}, {"answer": "9"}),
        ({"values": {"x": 1, "y": "n"}}, {"x": 1, "y": "n"}),
        ({"trace": "so 9", "values": {"x": 1}}, {"x": 1}),
        ({"trace": "so 9", "steps": [Step(text="so 9")]}, {"answer": "9"}),
    ],
)
def test_without_values_in_steps_the_end_of_the_prompt_is_read(fields: Any, read: dict[str, Any]) -> None:
    sites = value_positions(problem("Q? ", **fields))
    assert {site.name: site.value for site in sites} == read
    assert {site.char_offset for site in sites} == {len("Q? ")}


@given(
    st.lists(st.tuples(st.text(min_size=1), st.integers(-99, 99)), max_size=4), st.text("Q ?\n", min_size=1)
)
def test_sites_are_in_order_and_before_the_value_when_it_is_said(
    parts: list[tuple[str, int]], prompt: str
) -> None:
    steps = [
        Step(text=f"{text.encode(errors='ignore').decode()} = {value}", values={"v": value})
        for text, value in parts
    ]
    p = problem("Q" + prompt, steps=steps)
    sites = value_positions(p)
    if not steps:
        return
    offsets = [site.char_offset for site in sites]
    assert offsets == sorted(offsets)
    assert all(reading_text(p)[s.char_offset :].startswith(str(s.value)) for s in sites)


def test_chain_values_are_read_before_each_is_written() -> None:
    for p in random.Random(0).sample(new_chain(0).problems, 50):
        sites = value_positions(p)
        assert [site.value for site in sites] == list(p.values.values())
        for site in sites:
            assert reading_text(p)[: site.char_offset].endswith(" = ")
            assert reading_text(p)[site.char_offset :].startswith(f"{site.value} ;")
