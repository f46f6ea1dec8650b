"""Dead ends: counted by hand and by loops, by what says which steps are dead, and where they are read."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.search_task import SAYS, search_task
from tests.trails_task import RULE, gold, problem, task_of, written
from undertext.activations import UserError
from undertext.measures.trace.exploration import (
    Asked,
    Explored,
    Marked,
    asked_steps,
    explored,
    marked,
    spaced,
)
from undertext.measures.trace.trails import Trail, gold_trails, output_trails
from undertext.tasks import Step
from undertext.tasks.dead_ends import StateFunction

TEXT = "3 + 4 = 0 ; 0 + 2 = 2 no ; 0 * 2 = 4 no ; 3 * 4 = 4 ; 4 + 2 = 6 no ; 4 * 2 = 1 yes ; answer 1"
STATES = [True, True, True, False, True, False]


def of(states: list[bool | None], *, unfinished: bool = False, says: list[bool] | None = None) -> Marked:
    trail = written(
        " ".join(["a = 1 ;"] * len(states) + ["answer 1"] * (not unfinished)), unfinished=unfinished
    )
    return Marked(trail, states, says or [False] * len(states))


def test_the_case_of_the_docs():
    trail = written(TEXT)
    mark = Marked(trail, [*STATES], [False, True, True, False, True, False])
    found = explored(mark)
    # Two dead ends, of three steps and of one, and both are left; four of six steps stand in one.
    assert found == Explored(known=6, dead=4, entered=2, left=2, cut=0)
    assert (found.recovered, found.share, found.rate) == (1.0, 4 / 6, 2 / 6)
    assert asked_steps(mark, "task") == [Asked(0, "dead"), Asked(3, "alive"), Asked(5, "alive")]
    # By a pattern alone: is the next step going to say so?
    assert asked_steps(mark, "pattern") == [Asked(0, "dead"), Asked(3, "dead")]


@given(st.lists(st.sampled_from([True, False, None]), max_size=30), st.booleans())
def test_against_plain_loops(states, unfinished):
    found = explored(of(states, unfinished=unfinished))
    known = [state for state in states if state is not None]
    runs = [list(own) for dead, own in itertools.groupby(known) if dead]
    open_end = bool(known) and known[-1]
    assert found.known == len(known)
    assert found.dead == sum(map(len, runs))
    assert found.entered == len(runs)
    assert found.left == len(runs) - open_end
    asked = len(runs) - (open_end and unfinished)
    assert found.recovered == (pytest.approx(found.left / asked) if asked else None)
    assert found.share == (pytest.approx(found.dead / len(known)) if known else None)


def test_nothing_is_made_up_of_no_steps():
    found = explored(of([]))
    assert found == Explored(0, 0, 0, 0, 0)
    assert (found.recovered, found.share, found.rate) == (None, None, None)
    assert asked_steps(of([]), "pattern") == []
    unknown = explored(of([None, None]))
    assert (unknown.known, unknown.recovered, unknown.rate) == (0, None, None)


def test_one_step_and_two_hundred():
    assert explored(of([True])) == Explored(1, 1, 1, 0, 0)
    assert explored(of([True], unfinished=True)) == Explored(1, 1, 1, 0, 1)
    assert explored(of([True, False] * 100)) == Explored(200, 100, 100, 100, 0)
    rows = [Asked(k, "dead") for k in range(200)]
    assert [row.step for row in spaced(rows, 16)][-1] == 199
    assert len({row.step for row in spaced(rows, 16)}) == 16
    assert spaced(rows[:3], 16) == rows[:3]


def test_the_task_says_it_of_its_own_steps_and_of_those_that_say_the_same():
    task = search_task(train=1, dev=1, test=4)
    for own in task.split("test"):
        (trail,) = gold_trails(task, [own], RULE).values()
        found = marked({0: trail}, by="task", pattern=SAYS)[0]
        assert found.dead == [step.dead for step in own.steps]
        assert found.says == [step.text.endswith("no ;") for step in own.steps]
        text = f"{own.steps[0].text}  9 + 9 = 9 ; {own.steps[-1].text} answer {own.answer}"
        (mine,) = output_trails(task, [own], [text], [False], RULE)
        states = marked({0: mine}, by="task", pattern=None)[0]
        assert states.dead == [own.steps[0].dead, None, own.steps[-1].dead]
        assert states.says == [False] * 3


def test_a_step_that_the_task_has_both_ways_is_not_known():
    steps = [Step(text="a = 1 ;", dead=True), Step(text="a = 1 ;")]
    own = problem(steps=0, trace="a = 1 ; a = 1 ; answer 1", answer="1").model_copy(update={"steps": steps})
    (trail,) = gold_trails(task_of([own]), [own], RULE).values()
    assert marked({0: trail}, by="task", pattern=None)[0].dead == [True, False]
    (mine,) = output_trails(task_of([own]), [own], ["a = 1 ; answer 1"], [False], RULE)
    assert marked({0: mine}, by="task", pattern=None)[0].dead == [None]


def test_a_pattern_alone_and_an_output_that_was_cut():
    trail = written("a = 1 ; a = 2 no ; a = 3 ; a = 4 no ;", unfinished=True)
    found = marked({3: trail}, by="pattern", pattern=SAYS)[3]
    assert found.dead == [False, True, False, True]
    assert explored(found) == Explored(4, 2, 2, 1, 1)


def test_a_task_without_dead_ends_knows_none():
    (trail,) = gold(problem(1, steps=0, trace="a = 1 ; answer 1", answer="1"))
    assert marked({0: trail}, by="task", pattern=None)[0].dead == [None]


def states_of(steps, problem):
    return [step.endswith("no ;") if "=" in step else None for step in steps]


def too_few(steps, problem):
    return [True]


def not_states(steps, problem):
    return "dead"


def hangs(steps, problem):
    while True:
        pass


def test_a_function_of_the_user_s():
    trail = written("so 1 ; a = 2 no ; a = 3 ; answer 3")
    function = StateFunction(states_of, "made:states_of", 10.0)
    assert marked({0: trail}, by="function", pattern=None, function=function)[0].dead == [None, True, False]
    assert marked({0: written("")}, by="function", pattern=None, function=function)[0].dead == []


@pytest.mark.parametrize(
    ("function", "said"),
    [(too_few, "expected 3 states, one a step, got 1"),
     (not_states, "expected a list of true, false and None, got a str"),
     (hangs, "expected states within 0.5 seconds, got none")],
)  # fmt: skip
def test_a_function_that_does_not_say_it(function, said):
    trail: Trail = written("a = 1 ; a = 2 ; a = 3 ; answer 3")
    made = StateFunction(function, "made:up", 0.5)
    with pytest.raises(UserError, match=f"the function made:up on the steps of problem p0: {said}"):
        marked({0: trail}, by="function", pattern=None, function=made)
