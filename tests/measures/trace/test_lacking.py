"""What a change lacks is what `changed` does not find."""

import pytest

from tests.trails_task import LEAD, RULE, problem, task_of, toy, whole_task, written
from undertext import MeasureConfig, measure
from undertext.measures.trace.changes import EDITS, UNCHANGED, changed
from undertext.measures.trace.lacking import lacking, no_changes
from undertext.measures.trace.trails import gold_trails
from undertext.tasks import Problem

MADE = [problem(k, 2) for k in range(6)]


def bare(own: Problem) -> Problem:
    """The problem without counterfactuals."""
    return own.model_copy(
        update={"steps": [each.model_copy(update={"counterfactuals": {}}) for each in own.steps]}
    )


def same_answer(own: Problem) -> Problem:
    """The problem with counterfactuals by which the answer stays what it is."""
    stays = {"a": {str(value): own.answer for value in range(10)}}
    return own.model_copy(
        update={"steps": [each.model_copy(update={"counterfactuals": stays}) for each in own.steps]}
    )


@pytest.mark.parametrize("without", [bare, same_answer])
def test_counterfactuals(without):
    problems = [without(each) for each in MADE]
    trails = gold_trails(task_of(problems), problems, RULE)
    assert changed("corrupted", trails, LEAD, 0, among=problems) == []
    assert lacking("corrupted", problems, {}) == (
        "the task says no other answers for other values of its steps (counterfactuals)"
    )


def test_traces_that_are_worded_otherwise():
    trails = {i: written(f"so {each.trace}", k=i, steps=2) for i, each in enumerate(MADE)}
    assert all(len(trail.steps) == 2 for trail in trails.values())
    assert changed("corrupted", trails, LEAD, 0, among=MADE) == []
    assert lacking("corrupted", MADE, {}) == (
        "no finished trace begins as the task's own up to a value that has counterfactuals"
    )


def test_paraphrases():
    trails = gold_trails(task_of(MADE), MADE, RULE)
    assert changed("reworded", trails, LEAD, 0) == []
    assert lacking("reworded", MADE, {}) == (
        "the task has no paraphrases of these questions, and no templates were given (--templates)"
    )
    # Problem 5 alone has other words, and its trace is not there.
    some = {i: trail for i, trail in trails.items() if i != 5}
    wordings = {5: [MADE[5].prompt, f"so {MADE[5].prompt}"]}
    assert changed("reworded", some, LEAD, 0, wordings=wordings) == []
    assert lacking("reworded", MADE, wordings) == "no question of a finished trace has paraphrases"


@pytest.mark.parametrize("change", [UNCHANGED, *(e for e in EDITS if e not in ("corrupted", "reworded"))])
def test_other_changes_hang_on_the_traces_alone(change):
    said = {
        "another": "no other finished trace gives another answer",
        "paraphrased": "the function leaves every trace as it is",
    }
    assert lacking(change, MADE, {}) == said.get(change, "no trace allows this change")


def test_traces_that_no_change_can_be_made_of():
    whole, cut = written("a = 1 ; answer 1"), written("a = 1 ;", unfinished=True)
    bare_answer = written("answer 1")
    assert no_changes([]) == "there are no traces"
    assert no_changes([bare_answer]) == "no trace has a step before its answer"
    assert no_changes([bare_answer, cut]) == "every trace with a step was cut before an answer"
    assert no_changes([cut, whole]) is None


def test_the_job_names_what_is_missing():
    task = whole_task()
    problems = [bare(each) for each in task.problems]
    config = MeasureConfig(problems=6, threads=1, changes=("corrupted", "reworded"))
    found = measure(
        toy(), None, task.model_copy(update={"problems": problems}), "faithfulness", config=config,
        progress=False,
    )  # fmt: skip
    said = {gap.what: gap.reason for gap in found.unmeasured}
    assert "(counterfactuals)" in said["corrupted, base, the task's traces"]
    assert "no paraphrases" in said["reworded, base, the task's traces"]
