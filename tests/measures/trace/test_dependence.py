"""What answers follow: each change by hand, seeded and bound to the problem; and what becomes of answers."""

from typing import Any

import numpy as np
import pytest

from tests.trails_task import LEAD, RULE, problem, task_of, toy
from undertext.activations.errors import UserError
from undertext.measures.answers import greedy
from undertext.measures.trace.changes import EDITS, SENTENCES, UNCHANGED, changed, follows, in_other_words
from undertext.measures.trace.dependence import (
    FOUR,
    AfterChange,
    after_change,
    dependence,
    four_way,
    stated_though_wrong,
)
from undertext.measures.trace.stated import Stated
from undertext.measures.trace.trails import gold_trails
from undertext.tasks.paraphrases import ParaphraseFunction

PROBLEMS = [problem(k, 3) for k in range(12)]
TRAILS = gold_trails(task_of(PROBLEMS), PROBLEMS, RULE)


def prompts(change, **more):
    return {each.index: each for each in changed(change, TRAILS, LEAD, 5, **more)}


def test_what_each_change_reads():
    body = "a = 1 ; a = 4 ; a = 7 ;"
    asked = PROBLEMS[1].prompt
    assert prompts("unchanged")[1].prompt == f"{asked} {body} answer"
    cut = prompts("truncated")[1].prompt
    assert cut in {f"{asked}{' ' * bool(own)}{own} answer" for own in ("", body[:7], body[:15])}
    assert prompts("filler")[1].prompt == f"{asked} {' '.join('.' * 12)} answer"
    told = prompts("irrelevant")[1].prompt.removeprefix(asked).removesuffix("answer").strip()
    assert sum(sentence in told for sentence in SENTENCES) == 3
    other = prompts("another")[1]
    whose = {
        p.answer for p in PROBLEMS if other.prompt == f"{asked} {p.reasoning.removesuffix(f' {p.answer}')}"
    }
    assert {other.answer} == whose != {PROBLEMS[1].answer}
    assert all(each.opening == " answer" for each in prompts("filler").values())


def test_a_corrupted_step_says_another_value_with_another_answer():
    found = prompts("corrupted", among=PROBLEMS)
    assert set(found) == set(range(12))
    for i, each in found.items():
        said = each.opening
        right = PROBLEMS[i].reasoning
        assert each.prompt == f"{PROBLEMS[i].prompt} {said}"
        assert said[:-1] == right[: len(said) - 1]
        moved = int(said[-1]) - int(right[len(said) - 1])
        assert moved
        assert each.answer == str((int(PROBLEMS[i].answer) + moved) % 10)


def test_other_words_are_those_given():
    found = prompts("reworded", wordings={2: ["b = 2 ; find a :", "so a ? b = 2"], 3: ["b = 3 ; find a :"]})
    assert list(found) == [2]
    assert found[2].prompt == "so a ? b = 2 a = 2 ; a = 5 ; a = 8 ; answer"


def test_steps_in_other_words_stand_where_the_steps_stood():
    trail = TRAILS[1]
    said = [f"let a be {text.split()[2]} ;" for text in ("a = 1 ;", "a = 4 ;", "a = 7 ;")]
    text = in_other_words(trail, said)
    assert text == "let a be 1 ; let a be 4 ; let a be 7 ;"
    assert in_other_words(trail, ["a = 1 ;", "a  =  4 ;", "a = 7 ;"]) is None
    found = prompts("paraphrased", said_anew={1: text})
    assert list(found) == [1]
    assert found[1].prompt == f"{PROBLEMS[1].prompt} {text} answer"
    assert found[1].answer is None


def anew(steps, problem):
    return [f"{text} ({problem.id})" for text in steps]


def test_a_function_says_steps_in_other_words():
    function = ParaphraseFunction(anew, "made:anew", 10.0)
    assert function(["a = 1 ;"], PROBLEMS[0]) == [f"a = 1 ; ({PROBLEMS[0].id})"]
    assert function([], PROBLEMS[0]) == []


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda steps, problem: "so a is 1", "expected a list of texts, got "),
        (lambda steps, problem: [1], "expected a list of texts, got "),
        (lambda steps, problem: steps + steps, "expected 1 texts, one a step, got 2"),
        (lambda steps, problem: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_function_that_says_no_steps_is_told(function, said):
    made = ParaphraseFunction(function, "made:up", 5.0)
    with pytest.raises(UserError, match="the function made:up on the steps of problem") as error:
        made(["a = 1 ;"], PROBLEMS[0])
    assert said in str(error.value)


@pytest.mark.parametrize("change", [UNCHANGED, *EDITS])
def test_draws_hang_on_seed_and_problem_alone(change):
    more: dict[str, Any] = {"among": PROBLEMS, "wordings": {i: ["so a ?", "find a"] for i in range(12)}}
    more["said_anew"] = dict.fromkeys(range(12), "a is 1 , so a is 4")
    whole = changed(change, TRAILS, LEAD, 5, **more)
    turned = dict(reversed(TRAILS.items()))
    again = {each.index: each for each in changed(change, turned, LEAD, 5, **more)}
    assert {each.index: each for each in whole} == again
    if change in ("truncated", "corrupted", "irrelevant", "another"):
        assert changed(change, TRAILS, LEAD, 6, **more) != whole


@pytest.mark.parametrize("change", [UNCHANGED, *EDITS])
def test_a_trace_without_steps_allows_no_change(change):
    bare = [problem(k, 0, id=f"q{k}") for k in range(3)]
    trails = gold_trails(task_of(bare), bare, RULE)
    assert changed(change, trails, LEAD, 0, among=bare, wordings={0: ["so"]}) == []


def test_one_trace_alone_has_no_other():
    assert changed("another", {0: TRAILS[0]}, LEAD, 0) == []


@pytest.mark.parametrize(
    ("answer", "wanted", "same"),
    [("5", "5", True), (" 5 ", "5", True), ("5.0", "5", True), ("15", "5", False), (None, "5", False),
     ("5", None, False), ("North", "north", True)],
)  # fmt: skip
def test_what_follows(answer, wanted, same):
    assert follows(answer, wanted) is same


def test_outputs_after_a_change_are_those_of_a_greedy_call():
    checkpoint, task = toy(of_bytes=True), task_of(PROBLEMS)
    changes = changed("filler", TRAILS, LEAD, 0)
    found = after_change(checkpoint, task, PROBLEMS, "filler", changes)
    alone = greedy(checkpoint, task, PROBLEMS, prompts=[each.prompt for each in changes], opening=" answer")
    assert found.texts == alone.texts
    assert found.right.tolist() == alone.lenient.tolist()
    assert found.index == list(range(12))


def test_what_leaves_no_room_is_counted_and_left_out():
    long = [problem(0, 3), problem(1, 9)]
    trails = gold_trails(task_of(long), long, RULE)
    found = after_change(
        toy(n_ctx=48), task_of(long), long, "unchanged", changed("unchanged", trails, LEAD, 0)
    )
    assert (found.index, found.left_out) == ([0], 1)
    none = after_change(
        toy(n_ctx=16), task_of(long), long, "unchanged", changed("unchanged", trails, LEAD, 0)
    )
    assert (none.index, none.answers, none.left_out) == ([], [], 2)


def test_words_that_a_tokenizer_sets_apart_stand_apart_in_what_is_graded():
    checkpoint, task = toy(), task_of(PROBLEMS)  # each word a token: decoded alone it has no space before it
    changes = changed("unchanged", TRAILS, LEAD, 0)
    found = after_change(checkpoint, task, PROBLEMS, "unchanged", changes)
    alone = greedy(checkpoint, task, PROBLEMS, prompts=[each.prompt for each in changes])
    assert found.texts == [f" answer {text}" for text in alone.texts]


def after(change, answers, implied=None, right=None):
    n = len(answers)
    return AfterChange(
        change, list(range(n)), [""] * n, answers, implied or [None] * n, np.array(right or [False] * n, bool)
    )


def test_the_case_of_the_docs():
    unchanged = after("unchanged", ["5", "3", None], right=[True, False, False])
    swapped = after("another", ["8", "3", "1"], ["8", "9", "1"])
    found = dependence(swapped, unchanged, 4)
    np.testing.assert_array_equal(found.trace, [1, 0, 1, np.nan])
    np.testing.assert_array_equal(found.kept, [0, 1, np.nan, np.nan])
    np.testing.assert_array_equal(found.right, [0, 0, 0, np.nan])
    same = dependence(unchanged, unchanged, 3)
    assert np.isnan(same.kept).all()
    np.testing.assert_array_equal(same.right, [1, 0, 0])


def test_the_four_way_table():
    made = Stated({0: 1.0, 1: 1.0, 2: 0.5, 3: 0.0, 4: 0.0}, {}, {}, frozenset({4}))  # 4: no trace
    right = np.array([True, False, True, False, False, True])
    cells = four_way({0: True, 1: True, 2: False, 3: False}, right)
    assert [FOUR[int(row.argmax())] for row in cells[:4]] == list(FOUR)
    assert np.isnan(cells[4:]).all()
    wrong = stated_though_wrong(made, right, np.zeros(6, bool))
    np.testing.assert_array_equal(wrong, [np.nan, 1.0, np.nan, 0.0, np.nan, np.nan])
    cut = np.array([False, False, False, True, False, False])
    assert np.isnan(stated_though_wrong(made, right, cut)[3])
