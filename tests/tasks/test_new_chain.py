"""The built-in chain task: its splits, that they share nothing, and that its answers and traces are right."""

from collections import Counter

import pytest

from undertext.activations.errors import UserError
from undertext.tasks import Problem, grade, new_chain
from undertext.tasks.builtin.chain import MOST_PROBLEMS

TASK = new_chain(0)


def assignments(problem: Problem) -> str:
    return problem.prompt.rsplit(";", 1)[0]


def worked_out(problem: Problem, number: int = -1, instead: int = 0) -> list[int]:
    """The values of a chain problem's variables, worked out from the prompt alone.

    Variable `number` (from 0) is `instead`, whatever it is assigned.
    """
    known: dict[str, int] = {}
    for i, assignment in enumerate(assignments(problem).split(";")):
        name, _, *terms = assignment.split()
        first = known[terms[0]] if terms[0] in known else int(terms[0])
        if len(terms) == 3:
            second = int(terms[2])
            first = first + second if terms[1] == "+" else first * second
        known[name] = instead if i == number else first % 7
    return list(known.values())


def test_splits_have_their_sizes_and_lengths() -> None:
    assert Counter(p.split for p in TASK.problems) == {"train": 400, "dev": 120, "test": 300, "ood": 400}
    for split, lengths in (("train", {2, 3, 4}), ("dev", {2, 3, 4}), ("test", {2, 3, 4}), ("ood", {5})):
        found = Counter(len(p.steps) for p in TASK.split(split))
        assert set(found) == lengths
        assert max(found.values()) - min(found.values()) <= 1
        asked = Counter(p.type for p in TASK.split(split))
        assert set(asked) == {"find", "ask"}
        assert abs(asked["find"] - asked["ask"]) <= len(lengths)


def test_no_two_problems_share_their_assignments() -> None:
    assert len({assignments(p) for p in TASK.problems}) == len(TASK.problems)


def test_answers_values_and_traces_agree_with_the_prompt() -> None:
    for p in TASK.problems:
        right = worked_out(p)
        assert p.answer == str(right[-1])
        assert p.values == {f"v{i}": value for i, value in enumerate(right[1:], 2)}
        assert [step.values for step in p.steps] == [{}, *({"value": value} for value in right[1:])]
        assert p.trace == " ".join([*(step.text for step in p.steps), f"answer {p.answer}"])
        assert grade(TASK.grader, p.trace, p.answer) == (True, True)


def test_counterfactual_answers_agree_with_the_prompt() -> None:
    for p in TASK.problems[::7]:
        for number, step in enumerate(p.steps):
            answers = {str(v): str(worked_out(p, number, v)[-1]) for v in range(7)}
            assert step.counterfactuals == ({"value": answers} if number else {})
            assert p.counterfactuals.get(f"v{number + 1}") == (answers if number else None)


def test_the_seed_decides() -> None:
    assert new_chain(3, 5, 5, 5, 5) == new_chain(3, 5, 5, 5, 5)
    assert new_chain(3, 5, 5, 5, 5) != new_chain(4, 5, 5, 5, 5)


def test_ood_may_be_left_out() -> None:
    assert new_chain(0, 1, 1, 1, ood=0).splits == ["train", "dev", "test"]


def test_the_most_problems_can_be_drawn() -> None:
    assert len(new_chain(0, MOST_PROBLEMS - 2, 1, 1, 0).problems) == MOST_PROBLEMS


@pytest.mark.parametrize("counts", [(0, 1, 1, 1), (1, -1, 1, 1), (MOST_PROBLEMS, 1, 1, 1), (1, 1, 1, -1)])
def test_counts_that_cannot_be_met_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(UserError, match="a chain task has "):
        new_chain(0, *counts)
