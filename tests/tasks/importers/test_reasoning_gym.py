"""Tasks of reasoning-gym: made, written, read back, and graded by the generator's own scorer."""

import sys

import pytest
import reasoning_gym

from undertext.activations.errors import UserError
from undertext.tasks import load_task, write_task
from undertext.tasks.importers import ImportConfig, from_reasoning_gym
from undertext.tasks.output_grader import OutputGrader, chance_right
from undertext.tasks.reasoning_gym import ReasoningGymScorer, answer_in, generator, scorer_of

NAMES = ("chain_sum", "basic_arithmetic", "countdown", "leg_counting")


@pytest.fixture
def scorer():
    made: list[ReasoningGymScorer] = []

    def of(*args, **options):
        made.append(ReasoningGymScorer(*args, **options))
        return made[-1]

    yield of
    for each in made:
        each.close()


@pytest.mark.parametrize("name", NAMES)
def test_made_written_read_back_and_graded(name, scorer, tmp_path):
    imported = from_reasoning_gym(name, 12, ImportConfig(seed=5))
    write_task(imported.task, tmp_path / name)
    task = load_task(tmp_path / name)
    assert (task.grader.kind, task.grader.dataset) == ("reasoning_gym", name)
    made = reasoning_gym.create_dataset(name, size=12, seed=5)
    entries = {entry["question"]: entry for entry in made}
    assert {p.prompt for p in task.problems} == set(entries)
    grade = scorer(name)
    for problem in task.problems:
        entry = entries[problem.prompt]
        assert made.score_answer(problem.answer, entry) == 1
        assert grade(problem.answer, problem)[:2] == (True, True)
        written = f"<think>It is 5, no.</think>\nI say <answer> {problem.answer} </answer>."
        assert grade(written, problem) == (False, True, problem.answer)
        assert grade("<answer>nothing</answer>", problem)[:2] == (False, False)


def test_any_right_answer_is_right_and_only_for_its_own_problem(scorer):
    task = from_reasoning_gym("countdown", 12).task
    grade = scorer("countdown")
    first, second = task.problems[:2]
    turned = " + ".join(["0", f"({first.answer})"])
    assert not grade(turned, first).strict  # a number that is not given
    assert grade(f"({first.answer})", first).strict  # another way to write it
    assert not grade(first.answer, second).lenient


def test_options_reach_the_generator():
    task = from_reasoning_gym("chain_sum", 9, options={"min_terms": 7, "max_terms": 7}).task
    assert all(p.prompt.count(" + ") + p.prompt.count(" - ") == 6 for p in task.problems)


@pytest.mark.parametrize(
    ("output", "right", "taken"),
    [
        ("It is <answer>3</answer> or <answer> 4 </answer>", "4", "4"),
        ("2 + 2 = 4, so 4.", "4", "4"),
        ("so the answer is 1,250 (see 3)", "1250", "3"),
        ("Reasoning\nAnswer: a b c\nbye", "a b c", "a b c"),
        ("one\ntwo\n\n", "x", "two"),
        ("no number", "4", None),
        ("  \n", "x", None),
        ("<answer></answer>", "x", None),
    ],
)
def test_what_is_taken(output, right, taken):
    assert answer_in(output, right) == taken


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_wrong_and_the_next_is_graded(scorer):
    problem = from_reasoning_gym("countdown", 6).task.problems[0]
    grade = scorer("countdown", seconds=3.0)
    assert grade("9**9**9**9**9", problem)[:2] == (False, False)
    assert grade(problem.answer, problem)[:2] == (True, True)
    assert grade("1+" * 50_000 + "1", problem)[:2] == (False, False)


@pytest.mark.parametrize("name", ["countdown", "spiral_matrix", "n_queens", "polynomial_multiplication"])
def test_an_answer_runs_nothing(name, scorer, tmp_path):
    problem = from_reasoning_gym(name, 4).task.problems[0]
    mark = tmp_path / "mark"
    for code in (f"__import__('pathlib').Path({str(mark)!r}).touch()", f"open({str(mark)!r}, 'w')"):
        assert scorer(name)(f"<answer>{code}</answer>", problem)[:2] == (False, False)
    assert not mark.exists()


def test_what_reasoning_gym_does_not_have():
    with pytest.raises(
        UserError, match=r"expected a generator of reasoning-gym \(chain_sum\), got 'chain_sums'"
    ):
        generator("chain_sums")
    with pytest.raises(UserError, match="expected settings that the generator chain_sum has"):
        from_reasoning_gym("chain_sum", 5, options={"terms": 3})
    with pytest.raises(UserError, match="expected an answer in text, got None"):
        from_reasoning_gym("rush_hour", 4)


@pytest.mark.parametrize("name", ["chain_sum", "countdown"])
def test_outputs_of_a_task_are_graded_and_their_worth_by_chance_known(name):
    task = from_reasoning_gym(name, 12, ImportConfig(seed=2)).task
    made = reasoning_gym.create_dataset(name)
    shifted = task.problems[1:] + task.problems[:1]
    texts = [f"So <answer>{p.answer}</answer>" for p in (*task.problems[:6], *shifted[6:])]
    grader = OutputGrader(task)

    def right(text, problem):
        taken = text.removeprefix("So <answer>").removesuffix("</answer>")
        entry = {"question": problem.prompt, "answer": problem.answer, "metadata": problem.metadata}
        return made.score_answer(taken, entry) == 1

    grades = [grader(text, problem) for text, problem in zip(texts, task.problems, strict=True)]
    assert [g.lenient for g in grades] == [right(*each) for each in zip(texts, task.problems, strict=True)]
    assert [g.lenient for g in grades][:6] == [True] * 6
    assert not any(g.strict for g in grades)
    worth = [
        sum(right(text, other) for other in task.problems if other is not own) / 11
        for text, own in zip(texts, task.problems, strict=True)
    ]
    assert chance_right(task, task.problems, texts, [False] * 12).tolist() == pytest.approx(worth)
    assert grader(texts[0], task.problems[0], cut=True) == (False, False)


def test_without_reasoning_gym_one_line_says_what_to_install(monkeypatch):
    task = from_reasoning_gym("leg_counting", 6).task
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    scorer_of.cache_clear()
    with pytest.raises(UserError, match=r"pip install -e '\.\[reasoning-gym\]'"):
        OutputGrader(task)
