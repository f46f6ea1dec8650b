"""Tasks of the findings: which steps are dead ends, and which claims are bad, worked out anew."""

import pytest

from undertext.organisms.findings.families import BAD, FAMILIES, GOOD, task
from undertext.tasks.builtin.chain import MODULUS


def value_of(words: list[str]) -> int:
    left, sign, right = int(words[0]), words[1], int(words[2])
    return (left + right if sign == "+" else left * right) % MODULUS


@pytest.mark.parametrize("seed", [0, 3])
def test_a_step_of_a_search_is_dead_from_which_no_sign_reaches_the_target(seed):
    dead = set()
    for problem in task(FAMILIES["countdown"], seed).problems:
        words = problem.prompt.split()
        target = int(words[words.index("make" if "make" in words else "to", 5) + 1])
        third = int(words[words.index("use" if words[0] == "use" else "take") + 3])
        for step in problem.steps:
            reached = value_of(step.text.split())
            ends = step.text.split()[-2] in ("yes", "no")
            reachable = {reached} if ends else {(reached + third) % MODULUS, reached * third % MODULUS}
            assert step.dead == (target not in reachable)
            dead.add((ends, step.dead))
    assert len(dead) == 4  # both kinds of step, in a dead end and outside


def test_a_claim_is_a_step_that_is_valid_where_it_is_right():
    problems = task(FAMILIES["claims"], 0).problems
    assert {problem.answer for problem in problems} == {GOOD, BAD}
    for problem in problems:
        (step,) = problem.steps
        words = problem.prompt.split()
        name, _, value = step.text.split()[1:4]
        worked = value_of([words[2], words[7], words[8]])
        assert words[4] == name
        assert step.valid == (int(value) == worked)
        assert problem.reasoning == step.text
    assert {problem.type for problem in problems if problem.split == "ood"} == {"times"}
    assert {problem.type for problem in problems if problem.split == "train"} == {"add"}
