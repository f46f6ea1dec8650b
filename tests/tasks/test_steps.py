"""Texts in steps: each rule by hand, and whatever the text, steps that cover it in order."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext import new_chain
from undertext.activations import UserError
from undertext.tasks import Grader, Problem, Step, Task
from undertext.tasks.prompt_form import Reasoning
from undertext.tasks.steps import (
    NEWLINE,
    SENTENCE,
    THINK,
    Span,
    checked_rule,
    rule_like,
    split_steps,
    task_steps,
    texts_of,
)

RULES = (NEWLINE, SENTENCE, THINK, "regex:;", r"regex:x*", r"regex:\b")


@given(st.text(st.sampled_from("ab .;\n\r!?\u3002x3<>/think"), max_size=60), st.sampled_from(RULES))
def test_steps_cover_a_text_in_order(text, rule):
    spans = split_steps(text, rule)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(one.end <= other.start for one, other in itertools.pairwise(spans))
    assert "".join("".join(texts_of(text, spans)).split()) == "".join(text.split())
    assert all(each == each.strip() for each in texts_of(text, spans))


@pytest.mark.parametrize(
    ("rule", "text", "wanted"),
    [
        (NEWLINE, "a = 1\n\n b = 2 \r\nso 3", ["a = 1", "b = 2", "so 3"]),
        (SENTENCE, 'It is 3.5 here. "So 4!" Then? 5', ["It is 3.5 here.", '"So 4!"', "Then?", "5"]),
        (SENTENCE, "\u7532\u662f\u3002\u4e59\u662f", ["\u7532\u662f\u3002", "\u4e59\u662f"]),
        ("regex:;", "a = 1 ; b = 2; 3", ["a = 1 ;", "b = 2;", "3"]),
        ("regex:Step \\d", "Step 1 a Step 2 b", ["Step 1", "a Step 2", "b"]),
        (THINK, "<think>\n1.\n\n2.\n</think>\n\nanswer 3", ["<think>\n1.", "2.\n</think>", "answer 3"]),
        (THINK, "<think>never\n\nends", ["<think>never", "ends"]),
        (THINK, "no marks\n\nat all", ["no marks", "at all"]),
        (THINK, "goes on\n\n</think> 3", ["goes on\n\n</think>", "3"]),
    ],
)  # fmt: skip
def test_rules_by_hand(rule, text, wanted):
    assert texts_of(text, split_steps(text, rule)) == wanted


def test_marks_of_the_task_s_own():
    marks = Reasoning(open="[[", close="]]")
    text = "[[one\n\ntwo]] 3"
    assert texts_of(text, split_steps(text, THINK, marks)) == ["[[one", "two]]", "3"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", ["", " ", "\n \n"])
def test_a_blank_text_has_no_steps(rule, text):
    assert split_steps(text, rule) == []


def test_two_hundred_steps():
    text = " ".join(f"a = {k} ;" for k in range(200))
    assert len(split_steps(text, "regex:;")) == 200


@pytest.mark.parametrize(
    ("rule", "text", "count"),
    [(SENTENCE, "." * 200_000, 1), (SENTENCE, ". " * 50_000, 50_000), (THINK, "a\n\n" * 50_000, 50_000),
     (NEWLINE, "a\n" * 50_000, 50_000), (THINK, "\n" + " " * 200_000 + "a", 1)],
)  # fmt: skip
def test_hostile_texts_are_read_once(rule, text, count):
    assert len(split_steps(text, rule)) == count


def test_a_pattern_that_takes_too_long_is_refused():
    with pytest.raises(UserError, match="is not done with a text of"):
        split_steps("a" * 40 + "b", r"regex:(a|aa)+$")


@pytest.mark.parametrize(
    ("rule", "said"),
    [("paragraph", "expected auto, newline, sentence, think or regex:PATTERN"),
     ("regex:", "expected auto"),
     ("regex:(", "expected a regular expression")],
)  # fmt: skip
def test_rules_that_there_are_not(rule, said):
    with pytest.raises(ValueError, match=said):
        checked_rule(rule)


def test_auto_is_no_way_to_split():
    with pytest.raises(UserError, match="expected a rule that splits"):
        split_steps("a", "auto")


def traced(trace: str, *steps: str) -> Problem:
    made = [Step(text=each) for each in steps]
    return Problem(id="p", split="train", prompt="Q", answer="3", trace=trace, steps=made)


def test_a_task_s_own_steps():
    asked = traced("a = 1 ; so b = 2 ; answer 3", "a = 1 ;", "b = 2 ;")
    assert task_steps(asked) == [Span(0, 7), Span(11, 18)]
    assert task_steps(traced("nothing said")) == []


def test_overlapping_steps_are_refused():
    with pytest.raises(ValueError, match="steps whose texts follow one another"):
        traced("a = 1 ; b", "a = 1", "1 ; b")
    asked = traced("a = 1 ; b", "a = 1")
    slipped = asked.model_copy(update={"steps": [*asked.steps, asked.steps[0]]})
    with pytest.raises(
        UserError, match=r"problem '?p'?: expected steps that follow one another in its trace"
    ):
        task_steps(slipped)


def task_of(*problems: Problem, **settings) -> Task:
    grader = Grader(kind="number")
    rest = [Problem(id=s, split=s, prompt="Q", answer="3") for s in ("train", "dev", "test")]
    return Task(name="t", description="d", grader=grader, problems=[*problems, *rest], **settings)


def test_outputs_are_split_as_the_task_s_traces_are():
    chain = new_chain(0, train=5, dev=2, test=2, ood=0)
    rule = rule_like(chain)
    for problem in chain.problems:
        found = texts_of(problem.reasoning, split_steps(problem.reasoning, rule))
        assert found == [*(step.text for step in problem.steps), f"answer {problem.answer}"]
    assert rule_like(task_of(traced("a = 1\nb = 2", "a = 1", "b = 2"))) == NEWLINE
    assert rule_like(task_of(traced("It is 1. Now 2. So 3", "It is 1.", "Now 2."))) == SENTENCE
    assert rule_like(task_of(traced("a = 1 b = 2", "a = 1", "b = 2"))) == SENTENCE
    assert rule_like(task_of()) == SENTENCE
    assert rule_like(task_of(reasoning=Reasoning(open="<t>", close="</t>"))) == THINK
