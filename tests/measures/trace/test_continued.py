"""Next steps with the right ones before them: against a pass by hand, and graded as others' by hand."""

import numpy as np
import pytest
import torch

from tests.sums import blank, learnt, tokenizer_for, worked_problems
from undertext.activations import Checkpoint
from undertext.measures.trace.continued import (
    NUMBER,
    Continued,
    continued,
    of_outputs,
    say_values,
    step_values,
)
from undertext.tasks import Problem
from undertext.tasks.value_positions import reading_text


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return [Problem(**{**each, "answer": str(each["answer"])}) for each in worked_problems()][:60]


@pytest.fixture(scope="module")
def untrained(problems) -> Checkpoint:
    tokenizer = tokenizer_for(worked_problems())
    return Checkpoint.load(blank(tokenizer, 0), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def able(problems) -> Checkpoint:
    tokenizer = tokenizer_for(worked_problems())
    return Checkpoint.load(learnt(worked_problems(), tokenizer), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def found(untrained, problems) -> Continued:
    return continued(untrained, problems)


def test_every_value_that_a_step_says_is_found_once(untrained, problems, found):
    tokens, values = step_values(untrained, problems)
    assert values == found.values
    wanted = [
        (i, name, str(value))
        for i, p in enumerate(problems)
        for s in p.steps
        for name, value in s.values.items()
    ]
    shown = [(v.problem, v.name, untrained.decode(list(v.said), start=False).strip()) for v in values]
    assert shown == wanted
    for value in values:
        assert tuple(tokens[value.problem][place] for place in value.places) == value.said


def test_what_is_chosen_is_what_a_pass_by_hand_chooses(untrained, problems, found):
    for row in range(0, len(found.values), 7):
        value = found.values[row]
        ids = untrained.encode([reading_text(problems[value.problem])])[0]
        logits = untrained.model(torch.tensor([ids])).logits[0]
        chosen = tuple(int(logits[place - 1].argmax()) for place in value.places)
        assert found.chosen[row] == chosen
        assert found.right[row] == (chosen == value.said)


def test_chance_is_the_same_steps_graded_as_those_of_every_other_problem(found):
    for row in range(0, len(found.values), 5):
        value = found.values[row]
        others = [
            each.said
            for each in found.values
            if each.name == value.name and each.problem != value.problem and len(each.said) == len(value.said)
        ]
        share = np.mean([said == found.chosen[row] for said in others]) if others else 0.0
        assert found.by_chance[row] == pytest.approx(share)


def test_a_problem_s_figure_is_the_mean_over_its_values(found):
    right = found.per_problem(found.right)
    for problem, figure in right.items():
        own = [found.right[i] for i, value in enumerate(found.values) if value.problem == problem]
        assert figure == pytest.approx(np.mean(own))


@pytest.mark.slow
def test_what_was_learnt_goes_on_and_what_was_not_does_not(able, found, problems):
    assert continued(able, problems).right.mean() > 0.9
    assert found.right.mean() < 0.2


def test_what_is_longer_than_the_context_is_read_as_far_as_it_goes(untrained, problems):
    text = problems[0].reasoning
    long = problems[0].model_copy(update={"steps": [], "trace": f"{text} {'so 1 ' * 200}and 71 then 72 no"})
    (traced,) = of_outputs([long], [long.reasoning])
    found = continued(untrained, [traced, problems[1]])
    assert {value.problem for value in found.values} == {0, 1}
    assert all(value.places[-1] < untrained.n_ctx for value in found.values)


def test_a_problem_without_steps_has_no_values(untrained, problems):
    bare = [problem.model_copy(update={"steps": []}) for problem in problems[:3]]
    nothing = continued(untrained, bare)
    assert (nothing.values, nothing.chosen, nothing.per_problem(nothing.right)) == ([], [], {})


def test_an_output_s_new_numbers_are_its_steps(problems):
    asked = problems[0].model_copy(update={"prompt": "Q: 14 + 15 = ?"})
    outputs = {
        "4 + 5 = 9; 1 + 1 = 2; A: 29": ["4", "5", "9", "1", "2"],  # the last number is the answer
        "4 + 5 = 9; 1 + 1 = 2; 9 + 20 = 29, A: 29": ["4", "5", "9", "1", "2", "20", "29"],
        "29": [],
        "14 + 15 = 29": [],
        "no idea": [],
        "": [],
    }
    made = of_outputs([asked] * len(outputs), list(outputs))
    for problem, (output, numbers) in zip(made, outputs.items(), strict=True):
        assert problem.trace == output
        assert [step.values[NUMBER] for step in problem.steps] == numbers
        at = 0
        for step in problem.steps:
            at = output.index(step.text, at) + len(step.text)
            assert step.text.endswith(str(step.values[NUMBER]))


def test_steps_of_outputs_go_on_as_the_task_s_own_do(able, untrained, problems):
    """On a task that names nothing, with the outputs of one that can do it."""
    bare = [problem.model_copy(update={"steps": [], "trace": None}) for problem in problems]
    assert say_values(problems)
    assert not say_values(bare)
    traced = of_outputs(bare, [problem.reasoning for problem in problems])
    assert say_values(traced)
    can, cannot = (continued(each, traced) for each in (able, untrained))
    assert can.right.mean() > 0.9
    assert cannot.right.mean() < 0.2
    assert cannot.by_chance.mean() < 0.3
