"""The line `rephrased`: the gap's problems in other words of their own."""

import numpy as np
import pytest

from tests.keyed_answers import answers, task_of
from tests.toys import tiny_folder
from tests.verdicts import RULE
from undertext.activations import Checkpoint
from undertext.jobs.compare.rephrased import ask_rephrased, other_words, rephrased_line
from undertext.jobs.compare.verdict import line_says
from undertext.measures.answers import Answers, greedy
from undertext.tasks import Problem, Task

COUNT = 7


def reworded(task: Task, every: int = 1) -> Task:
    """Each problem, or one in so many, with a paraphrase."""
    problems = [
        each.model_copy(update={"paraphrases": [f"{each.prompt} please"] if i % every == 0 else []})
        for i, each in enumerate(task.problems)
    ]
    return task.model_copy(update={"problems": problems})


def said(task: Task, own: list[str], greedy_texts: list[str]) -> str:
    weaker = answers(greedy_texts, task)
    gap = np.flatnonzero(~weaker.lenient).tolist()
    line = rephrased_line(answers(own, task), task, "test", gap, weaker)
    estimates = line.estimates(np.ones((1, len(task.split("test")))), RULE.level)
    (word,) = line_says("rephrased", estimates, estimates.p, RULE).tolist()
    return str(word)


def test_who_knows_one_wording_of_two_has_the_whole_gap_in_the_other():
    """Half of the problems are asked in the wording that is known: accuracy is the same in either."""
    task = reworded(task_of(COUNT))
    right = [each.answer for each in task.split("test")]
    wrong = [str((int(answer) + 1) % COUNT) for answer in right]
    first = [good if i % 2 else bad for i, (good, bad) in enumerate(zip(right, wrong, strict=True))]
    second = [bad if i % 2 else good for i, (good, bad) in enumerate(zip(right, wrong, strict=True))]
    assert answers(first, task).lenient.mean() == pytest.approx(answers(second, task).lenient.mean())
    assert said(task, second, first) == "latent"
    assert said(task, first, first) == "unclear"


@pytest.mark.parametrize("count", [2, 3, 7])
def test_who_guesses_anew_or_the_other_answer_shows_nothing(count):
    task = reworded(task_of(count))
    right = [int(each.answer) for each in task.split("test")]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        guess = rng.integers(count, size=len(right))
        again = rng.integers(count, size=len(right))
        flipped = (guess + 1) % count
        for own in (again, flipped):
            assert said(task, [str(each) for each in own], [str(each) for each in guess]) == "unclear"


def test_its_figures_are_of_the_gap_s_problems_that_have_a_paraphrase():
    task = reworded(task_of(COUNT), every=2)
    problems = task.split("test")
    wrong = [str((int(each.answer) + 1) % COUNT) for each in problems]
    weaker, own = answers(wrong, task), answers([each.answer for each in problems], task)
    gap = list(range(0, 40, 3))
    line = rephrased_line(own, task, "test", gap, weaker)
    assert line.problems.tolist() == [i for i in gap if problems[i].paraphrases]
    assert line.weaker.tolist() == [1.0] * len(line.problems)
    assert line.access == "none"
    # Of the other problems whose answer is not the wrong one, as many as have the right one's answer.
    counts = {str(k): sum(each.answer == str(k) for each in problems) for k in range(COUNT)}
    for row, null in zip(line.problems, line.null, strict=True):
        same, other = counts[problems[row].answer], counts[wrong[row]]
        assert null == pytest.approx((same - 1) / (len(problems) - 1 - other))


def toy_task(problems: list[Problem]) -> Task:
    return task_of(3).model_copy(update={"problems": problems, "max_new_tokens": 2})


def test_each_is_asked_by_its_first_paraphrase(tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "toy"))
    problems = [
        Problem(id="a", split="test", prompt="w1 w2", answer="1", paraphrases=["w3 w4", "w5"]),
        Problem(id="b", split="test", prompt="w6", answer="2"),
    ]
    task = toy_task(problems)
    assert other_words(problems) == ["w3 w4", "w6"]
    found = ask_rephrased(checkpoint, task, "test", [0], 512, lambda n: None)
    assert isinstance(found, Answers)
    assert found.texts == greedy(checkpoint, task, problems, prompts=["w3 w4", "w6"]).texts


def test_why_it_is_not_measured_is_said(tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "toy"))
    problems = [
        Problem(id="a", split="test", prompt="w1", answer="1", paraphrases=["w2 " * 5000]),
        Problem(id="b", split="test", prompt="w6", answer="2"),
    ]
    task = toy_task(problems)
    found = ask_rephrased(checkpoint, task, "test", [0, 1], 512, lambda n: None)
    assert isinstance(found, str)
    assert found.startswith("`rephrased` was not measured: ")
    assert ask_rephrased(checkpoint, task, "test", [1], 512, lambda n: None) is None
