"""Families of problems: worked out rightly, wrongly, and from another value."""

import random
import re

import pytest

from undertext.activations.errors import UserError
from undertext.organisms.bench.families import FAMILIES, Family
from undertext.organisms.bench.families.item import Item
from undertext.organisms.bench.world import distinct
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Problem, Task

NAMES = sorted(FAMILIES)


def items(family: Family, count: int = 30, seed: int = 0, held_out: bool = False) -> list[Item]:
    rng = random.Random(seed)
    sizes = (*family.sizes, *family.longer)
    return [family.sample(rng, sizes[i % len(sizes)], held_out=held_out) for i in range(count)]


def one_problem(family: Family, item: Item) -> tuple[OutputGrader, Problem]:
    prompt, answer, metadata = item.questions[0], item.right.answer, dict(item.metadata)
    problems = [
        Problem(id=split, split=split, prompt=prompt, answer=answer, metadata=metadata)
        for split in ("train", "dev", "test")
    ]
    task = Task(name=family.name, description="t", grader=family.grader, problems=problems, max_new_tokens=8)
    return OutputGrader(task), problems[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_trace_is_graded_right_and_every_other_answer_wrong(name):
    family = FAMILIES[name]
    for item in items(family, 10):
        grader, problem = one_problem(family, item)
        assert grader(family.trace(item.right), problem).lenient
        others = [answer for answer in item.answers if answer != item.right.answer]
        assert not any(grader(family.answer.format(answer), problem).lenient for answer in others[:4])


@pytest.mark.parametrize("name", NAMES)
def test_a_step_goes_on_from_what_is_written(name):
    """The answer that follows for the value that a step has is the problem's; noise keeps the form."""
    family, rng = FAMILIES[name], random.Random(1)
    for item in items(family):
        for i, step in enumerate(item.right.steps):
            if step.value is not None and step.value in item.values:
                assert item.answers_if(i)[step.value] == item.right.answer
        for step in item.noise(rng).steps:
            assert step.value is None or step.value in item.values
            assert re.fullmatch(r"[\w+*:;=<>\-. ]+", step.text)
        assert item.slips(rng, 0.0) == item.right


@pytest.mark.parametrize("name", NAMES)
def test_problems_are_on_one_side_and_guesses_know_nothing(name):
    family, rng = FAMILIES[name], random.Random(2)
    assert all(item.held_out for item in items(family, 10, held_out=True))
    assert not any(item.held_out for item in items(family, 10))
    many = items(family, 400)
    assert len({item.body for item in many}) > 200
    assert 0.3 < sum(item.trait for item in many) / len(many) < 0.7
    lucky = sum(item.guess(rng) == item.right.answer for item in many) / len(many)
    assert lucky < 1 / min(len(set(item.answers)) for item in many) + 0.1


def test_chains_are_the_built_in_task_s():
    for item in items(FAMILIES["chain"]):
        values = dict(re.findall(r"(\w) = (\d)", item.body))
        for name, before, sign, constant in re.findall(r"(\w) = (\w) ([+*]) (\d)", item.body):
            first, second = int(values[before]), int(constant)
            values[name] = str((first + second if sign == "+" else first * second) % 7)
        asked = re.findall(r"(\w) = ", item.body)[-1]
        assert item.right.answer == values[asked]


def test_a_path_follows_the_edges():
    for item in items(FAMILIES["graph"]):
        leads = dict(re.findall(r"(\w) > (\w)", item.body))
        node = item.body.split()[-2]
        for step in item.right.steps:
            node = leads[node]
            assert step.value == node
        assert item.right.answer == node
        assert len({step.value for step in item.right.steps}) == item.size


def test_countdown_finds_the_only_way_and_shows_its_dead_ends():
    for item in items(FAMILIES["countdown"]):
        *given, target = (int(number) for number in re.findall(r"\d+", item.body))
        signs = item.right.answer.split()
        value = given[0]
        for sign, number in zip(signs, given[1:], strict=True):
            value = (value + number if sign == "plus" else value * number) % 13
        assert value == target
        ends = [step.text.split()[-2] for step in item.right.steps if step.text.split()[-2] in ("yes", "no")]
        assert ends[-1] == "yes"
        assert set(ends[:-1]) <= {"no"}


def test_a_family_that_has_too_few_problems_says_so():
    (item,) = items(FAMILIES["chain"], 1)
    with pytest.raises(UserError, match="expected 2 problems that differ, got 1"):
        distinct(lambda _: item, 2, set())


def test_a_ball_goes_where_its_cup_goes():
    for item in items(FAMILIES["swaps"]):
        start, *rest = item.body.split()
        under = {cup: cup == start for cup in "abcde"}
        for one, other, step in zip(rest[::3], rest[1::3], item.right.steps, strict=True):
            under[one], under[other] = under[other], under[one]
            assert step.value is not None
            assert under[step.value]
        assert under[item.right.answer]
        assert len(item.right.steps) == item.size


def test_truth_values_are_joined_from_left_to_right():
    signs = {"and": "&", "or": "|", "xor": "^"}
    for item in items(FAMILIES["logic"]):
        first, *rest = item.body.split()
        said = first.title()
        for sign, value, step in zip(rest[::2], rest[1::2], item.right.steps, strict=True):
            said = f"({said} {signs[sign]} {value.title()})"
            assert step.value == str(eval(said)).lower()
        assert item.right.answer == item.right.steps[-1].value
        assert len(item.right.steps) == item.size
