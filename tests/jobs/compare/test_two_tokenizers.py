"""A pair whose tokenizers differ altogether: values are read at the same characters, in own tokens."""

from typing import Any

import pytest
import torch

from tests.sums import learnt, plain_problems, tokenizer_for, worked_problems
from tests.toys import byte_tokenizer, tiny_model
from undertext import compare
from undertext.activations import Checkpoint, HookPoint, UserError, load_pair
from undertext.jobs.compare.config import CompareConfig
from undertext.measures.decoding.readings import measure_other, measure_own, stack_of
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.value_tokens import locate_values


def a_task(problems: list[dict[str, Any]]) -> Task:
    return Task(
        name="sums",
        description="Sums.",
        grader=Grader(kind="number"),
        stop=["\n"],
        max_new_tokens=4,
        problems=[Problem.model_validate(each) for each in problems],
    )


@pytest.mark.slow
def test_rows_are_the_same_values_before_they_are_said_in_either_s_tokens():
    task = a_task(worked_problems())
    coarse, fine = tokenizer_for(worked_problems()), byte_tokenizer(("b", "a"), size=261)
    weaker, stronger = (
        Checkpoint.load(tiny_model("llama", 300, seed=seed, n_ctx=128), tokenizer=tokenizer)
        for seed, tokenizer in enumerate((coarse, fine))
    )
    points = [HookPoint(layer, "resid_post") for layer in range(3)]
    own = measure_own(weaker, task, ["test"], points, max_classes=50, seed=0)
    found = measure_other(
        own, weaker, stronger, points, seed=0, of_stronger=task.model_copy(), shared_tokens=False
    )
    assert {source for _, source in found.chosen} == {
        "weaker", "stronger", "random_init", "surface", "window", "control"
    }  # fmt: skip
    problems = task.split("test")
    sites = {"test": locate_values(weaker, problems)}
    theirs = {"test": locate_values(stronger, problems)}
    assert sites["test"].label == theirs["test"].label
    assert sites["test"].tokens != theirs["test"].tokens
    stack = stack_of(stronger, theirs, points)
    for row in (0, 1, 7):
        problem = problems[int(theirs["test"].problem[row])]
        step = next(step for step in problem.steps if theirs["test"].name[row] in step.values)
        before = f"{problem.prompt} {problem.trace}".split(step.text)[0] + step.text.split("=")[0] + "= "
        ids = torch.tensor([fine(before)["input_ids"]])
        hidden = stronger.model(ids, output_hidden_states=True).hidden_states[2][0, -1]
        torch.testing.assert_close(stack["test"][1, row], hidden, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def pair() -> tuple[Checkpoint, Checkpoint]:
    problems = plain_problems()
    one, other = tokenizer_for(problems), byte_tokenizer(("A: 3", "Q: 1"), size=265)
    return tuple(
        Checkpoint.load(learnt(problems, tokenizer, steps=80, seed=seed), tokenizer=tokenizer)
        for seed, tokenizer in enumerate((one, other))
    )  # type: ignore[return-value]


@pytest.mark.slow
def test_compare_says_how_they_differ_and_what_is_not_measured(pair):
    config = CompareConfig(search_problems=4, doses=(1.0,), samples=2, random_directions=1)
    found = compare(pair[0], pair[1], a_task(plain_problems()), config=config)
    test = found.splits["test"]
    assert min(test.accuracy[role].value for role in ("base", "tuned")) > 0.6
    (flag,) = [each for each in test.flags if each.startswith("the tokenizers differ")]
    assert "words have different ids" in flag
    assert "`transported` is not measured" in flag
    assert test.line("transported") is None
    assert found.summary["read"]["base"]["ids"] != found.summary["read"]["tuned"]["ids"]


def test_where_ids_are_shared_they_are_refused_as_before(pair):
    with pytest.raises(UserError, match="tokenizer"):
        load_pair(*pair)
