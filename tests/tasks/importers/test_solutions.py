"""Worked solutions against what a reader finds in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks import value_positions
from undertext.tasks.importers.solutions import gsm8k_solution, last_boxed, math_solution, sentences
from undertext.tasks.task import Problem

# The first solution of GSM8K's train split, and one with commas, a decimal, a currency and a negative number.
NATALIA = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
    "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72"
)
MIXED = (
    "The house costs $80,000+$50,000=$<<80000+50000=130000>>130,000.\n"
    "Each part is 3*.5=<<3*.5=1.5>>1.5 tons.\nThe change is 4-9=<<4-9=-5>>-5 degrees.\n#### -1,234.50"
)


def test_gsm8k_without_marks():
    read = gsm8k_solution(NATALIA)
    assert read.answer == "72"
    assert [step["text"] for step in read.steps] == [
        "Natalia sold 48/2 = 24 clips in May.",
        "Natalia sold 48+24 = 72 clips altogether in April and May.",
    ]
    assert [step["values"] for step in read.steps] == [{"step1": 24}, {"step2": 72}]
    assert read.trace.endswith("\n#### 72")
    assert "<<" not in read.trace


def test_gsm8k_with_marks_reads_values_before_the_calculator():
    read = gsm8k_solution(NATALIA, "keep")
    assert read.trace == NATALIA
    problem = Problem(id="1", split="test", prompt="How many?", **read.fields)
    text = f"How many? {NATALIA}"
    assert [text[: place.char_offset][-6:] for place in value_positions(problem)] == ["<48/2=", "48+24="]


def test_gsm8k_numbers_in_every_form():
    read = gsm8k_solution(MIXED)
    assert [step["values"] for step in read.steps] == [{"step1": 130000}, {"step2": 1.5}, {"step3": -5}]
    assert read.answer == "-1,234.50"
    assert read.unread == 0
    problem = Problem(id="1", split="test", prompt="Q", **read.fields)
    assert not any(place.maybe_said for place in value_positions(problem))


def test_gsm8k_values_that_a_step_does_not_say_once_are_left_out_and_counted():
    read = gsm8k_solution("He adds 5+0=<<5+0=5>>5.\nThat is <<5*2=10>>ten, or 5*2.\n#### 10")
    assert [step["values"] for step in read.steps] == [{}, {}]
    assert read.unread == 2


@pytest.mark.parametrize("text", ["no answer", "#### ", "#### twelve", "<<1+1=2>>2"])
def test_gsm8k_without_a_final_number(text):
    with pytest.raises(ValueError, match="expected a last line with the answer"):
        gsm8k_solution(text)


@given(st.lists(st.tuples(st.integers(-999, 999), st.integers(0, 999_999)), min_size=1, max_size=6))
def test_gsm8k_round_trip(sums):
    lines = [f"Now {a} + {b} = <<{a}+{b}={a + b}>>{a + b}." for a, b in sums]
    read = gsm8k_solution("\n".join([*lines, f"#### {sums[-1][0] + sums[-1][1]}"]))
    assert read.answer == str(sum(sums[-1]))
    named = {name: value for step in read.steps for name, value in step["values"].items()}
    said_once = {f"step{i}": a + b for i, (a, b) in enumerate(sums, 1) if a + b not in (a, b)}
    assert named == said_once
    Problem(id="1", split="test", prompt="Q", **read.fields)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"$\boxed{3}$ and then $\boxed{\sqrt{\frac{a}{b}}}$", r"\sqrt{\frac{a}{b}}"),
        (r"$\boxed 7$", "7"),
        (r"$\fbox{B}$", "B"),
        (r"$\boxed{\{1, 2\}}$", r"\{1, 2\}"),
        (r"$\boxed{\text{(A)} }$", r"\text{(A)}"),
        (r"$\boxed{2}$ and an open $\boxed{3", "2"),
        (r"\boxed{}", None),
        ("nothing", None),
    ],
)
def test_last_boxed(text, answer):
    assert last_boxed(text) == answer


@given(
    st.recursive(st.sampled_from(["1", "x", r"\frac"]), lambda s: st.builds("{{{}}}".format, s), max_leaves=8)
)
def test_nested_boxes(inner):
    assert last_boxed(rf"it is \boxed{{{inner}}} indeed") == inner


def test_math_is_cut_at_sentences_and_lines_but_not_in_formulas():
    text = (
        "We have $x = 2. Y = 3$ here. Then\n\\[a = b.\n C = d\\]\nso it is $1.5$. "
        "Thus \\begin{align*}x &= 1. \\\\ Y &= 2\\end{align*} holds.\nThe answer is $\\boxed{5}$."
    )
    read = math_solution(text)
    assert read.answer == "5"
    assert [step["text"] for step in read.steps] == [
        "We have $x = 2. Y = 3$ here.",
        "Then",
        "\\[a = b.\n C = d\\]",
        "so it is $1.5$.",
        "Thus \\begin{align*}x &= 1. \\\\ Y &= 2\\end{align*} holds.",
        "The answer is $\\boxed{5}$.",
    ]
    Problem(id="1", split="test", prompt="Q", **read.fields)


@given(st.text(alphabet="ab.$ \n\\[](){}", max_size=60))
def test_sentences_lose_nothing_but_space(text):
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
