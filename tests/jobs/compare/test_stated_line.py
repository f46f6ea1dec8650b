"""The line `stated`: the weaker's own outputs in the gap, and what it says of guesses."""

import numpy as np
import pytest

from tests.verdicts import RULE
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.step_lines import stated_line
from undertext.jobs.compare.verdict import line_says
from undertext.measures.answers import Answers
from undertext.tasks.builtin.chain import MODULUS, new_chain
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem

TASK = new_chain(0, train=1, dev=1, test=120, ood=1)
PROBLEMS = TASK.split("test")
GAP = list(range(0, 120, 2))


def answers(texts: list[str]) -> Answers:
    grader, none = OutputGrader(TASK), np.zeros(len(texts), bool)
    right = np.array([grader(text, each).lenient for text, each in zip(texts, PROBLEMS, strict=True)])
    return Answers(texts, right, right, np.ones(len(texts)), none)


def wrongly(problem: Problem) -> str:
    """Right steps and a wrong answer."""
    return f"{problem.reasoning[:-1]}{(int(problem.answer) + 1) % MODULUS}"


STRONG = answers([each.reasoning for each in PROBLEMS])


def says(line: RawLine | str) -> str:
    assert isinstance(line, RawLine)
    found = line.estimates(np.ones((1, len(PROBLEMS))), RULE.level)
    (word,) = line_says(line.name, found, found.p, RULE).tolist()
    return str(word)


@pytest.mark.parametrize("own_steps", [True, False])
def test_right_steps_and_wrong_answers_are_latent(own_steps):
    line = stated_line(TASK, "test", GAP, answers([wrongly(each) for each in PROBLEMS]), STRONG, own_steps)
    assert isinstance(line, RawLine)
    assert set(line.problems.tolist()) < set(GAP)
    assert line.weaker.tolist() == line.stronger.tolist() == [1.0] * len(line.problems)
    assert (line.name, line.access) == ("stated", "none" if own_steps else "the trace")
    assert ("and in the words of their step" in line.note) == own_steps
    assert says(line) == "latent"


def test_steps_of_another_problem_are_unclear_and_never_absent():
    texts = [each.reasoning for each in PROBLEMS]
    assert says(stated_line(TASK, "test", GAP, answers([*texts[3:], *texts[:3]]), STRONG, True)) == "unclear"


def test_guesses_are_not_measured_and_where_few_write_steps_the_note_says_so():
    guesses = [f"answer {(int(each.answer) + 1) % MODULUS}" for each in PROBLEMS]
    found = stated_line(TASK, "test", GAP, answers(guesses), STRONG, True)
    assert isinstance(found, str)
    assert "an answer and no steps" in found
    some = [wrongly(each) if i < 30 else guesses[i] for i, each in enumerate(PROBLEMS)]
    line = stated_line(TASK, "test", GAP, answers(some), STRONG, True)
    assert isinstance(line, RawLine)
    silent = sum(i >= 30 for i in line.problems)
    assert f"{silent} of whose outputs give an answer alone" in line.note
    assert says(line) == "unclear"


def test_a_task_without_values_of_its_own_steps_says_that_there_is_nothing_to_state():
    bare = TASK.model_copy(update={"problems": [p.model_copy(update={"steps": []}) for p in TASK.problems]})
    found = stated_line(bare, "test", GAP, STRONG, STRONG, True)
    assert isinstance(found, str)
    assert "no step says a value" in found
