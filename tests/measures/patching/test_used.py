"""Whether answers follow another problem's value, and counterfactual answers by re-asking."""

import pytest

from undertext import new_chain, zoo
from undertext.activations import Checkpoint, HookPoint, UserError
from undertext.measures.patching.re_asking import OTHER_VALUES, re_asked
from undertext.measures.patching.used import measure_used, value_used, with_counterfactuals
from undertext.tasks import Problem, Task


@pytest.fixture(scope="module")
def elicited() -> Checkpoint:
    return Checkpoint.load(zoo("elicited"))


@pytest.fixture(scope="module")
def chain() -> Task:
    task = new_chain(0)
    few = [p for split in task.splits for p in task.split(split)[:100]]
    return task.model_copy(update={"problems": few})


def without_answers(problem: Problem) -> Problem:
    steps = [step.model_copy(update={"counterfactuals": {}}) for step in problem.steps]
    return problem.model_copy(update={"steps": steps, "counterfactuals": {}})


def test_re_asked_answers_are_those_that_arithmetic_gives(elicited, chain):
    """The task declares what would follow from every other value: worked out, and not by a model."""
    declared = chain.split("test")[:24]
    answered = re_asked(
        elicited, chain, [without_answers(p) for p in declared], "value", list("0123456"), seed=0
    )
    counted = 0
    for own, asked in zip(declared, answered, strict=True):
        (step,) = [i for i, each in enumerate(asked.steps) if each.counterfactuals]
        found, expected = asked.steps[step].counterfactuals["value"], own.steps[step].counterfactuals["value"]
        assert len(found) == OTHER_VALUES
        assert str(own.steps[step].values["value"]) not in found
        counted += sum(expected[value] == answer for value, answer in found.items())
    assert counted >= 0.95 * OTHER_VALUES * len(declared)


def test_what_is_drawn_hangs_on_seed_and_id_alone(elicited, chain):
    problems = [without_answers(p) for p in chain.split("dev")[:6]]
    asked = {p.id: p for p in re_asked(elicited, chain, problems, "value", list("0123456"), seed=3)}
    turned = re_asked(elicited, chain, problems[::-1], "value", list("6543210"), seed=3)
    assert all(asked[p.id].steps == p.steps for p in turned)


def test_a_problem_whose_steps_do_not_say_the_value_stays_as_it_was(elicited, chain):
    problem = without_answers(chain.split("dev")[0])
    bare = problem.model_copy(update={"steps": [], "trace": None, "values": {}})
    assert re_asked(elicited, chain, [bare], "value", list("0123456"), seed=0) == [bare]
    assert re_asked(elicited, chain, [problem], "other", list("0123456"), seed=0) == [problem]


def test_a_task_that_declares_answers_is_not_asked_again(elicited, chain):
    same, asked = with_counterfactuals(elicited, chain, chain.split("dev"), "value", list("0123456"), seed=0)
    assert (same is chain, asked) == (True, False)
    bare = chain.model_copy(update={"problems": [without_answers(p) for p in chain.problems]})
    few = bare.split("dev")[:4]
    other, asked = with_counterfactuals(elicited, bare, few, "value", list("0123456"), seed=0)
    assert asked
    changed = [p.id for p, q in zip(bare.problems, other.problems, strict=True) if p != q]
    assert changed == [p.id for p in few]


def test_the_value_is_the_one_that_most_steps_say(elicited, chain):
    assert value_used(chain.split("train"), elicited) == ("value", list("0123456"))
    bare = [p.model_copy(update={"steps": [], "trace": None}) for p in chain.split("train")]
    assert "no step says a value" in str(value_used(bare, elicited))


def test_answers_follow_the_value_where_it_is_used_and_not_where_it_is_gone(elicited, chain):
    points, gap = [HookPoint(2, "resid_post"), HookPoint(3, "resid_post")], list(range(0, 40, 2))
    tuned, wiped = (
        measure_used(each, chain, "test", gap, "value", points, seed=0, most=16)
        for each in (elicited, Checkpoint.load(zoo("overwritten")))
    )
    for found in (tuned, wiped):
        assert len(found.problems) == len(found.moved) == len(found.by_chance) == 16
        assert set(found.problems) <= set(gap)
        assert found.layer in (2, 3)
    assert sum(tuned.moved) >= 14
    assert sum(tuned.by_chance) <= 3
    assert sum(wiped.moved) <= 6


def test_without_two_problems_to_exchange_the_value_between_it_is_refused(elicited, chain):
    with pytest.raises(UserError, match="no two problems in test"):
        measure_used(elicited, chain, "test", [], "value", [HookPoint(2, "resid_post")], seed=0, most=16)
