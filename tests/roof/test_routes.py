"""Routes side by side: each grade is that of plain generation, and agreement is scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from activations import Checkpoint, generate
from tests.roof.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from tests.roof.test_steer import GIVEN
from undertext import Routes, RoutesConfig, routes
from undertext.commands.routes import table_lines
from undertext.evidence.routes import FITTED, find_answer, kappa
from undertext.tasks import Grader, Task, grade, load_task

CONFIG = RoutesConfig(
    doses=(1.0,),
    random_directions=1,
    search_problems=8,
    vector_problems=40,
    budget=3,
    fit_steps=40,
    threads=1,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Task, Checkpoint, Routes]:
    task = load_task(write_by_hand(tmp_path_factory.mktemp("sums") / "task", plain_problems(), 4))
    tokenizer = tokenizer_for(plain_problems())
    weaker = Checkpoint.load(blank(tokenizer, 0), tokenizer=tokenizer)
    able = Checkpoint.load(learnt(plain_problems(), tokenizer), tokenizer=tokenizer)
    return task, weaker, routes(weaker, able, task, vectors=[GIVEN], config=CONFIG, progress=False)


def test_every_route_is_there_and_within_its_tokens(made):
    task, _, found = made
    kinds = [route.outcome.kind for route in found.splits["test"]]
    assert {"given direction", "decoding", "prompt", "training"} <= set(kinds)
    for route in found.splits["test"]:
        outcome = route.outcome
        assert 0 <= outcome.tokens <= CONFIG.budget * task.max_new_tokens
        assert len(outcome.right) == len(task.split("test"))
        assert outcome.trained == (outcome.name == FITTED)
        assert route.gap is not None
        assert route.gap.low <= route.gap.value <= route.gap.high
    assert len(found.tables["agreement"]) == len(kinds) ** 2


def test_grades_are_those_of_plain_generation(made):
    task, weaker, found = made
    problems = task.split("test")
    shown = [f"{each.prompt} {each.answer}" for each in task.split("train")[: CONFIG.shots]]
    out = generate(
        weaker,
        ["\n".join([*shown, each.prompt]) for each in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
    )
    right = [
        grade(task.grader, text, each.answer).lenient for text, each in zip(out.texts, problems, strict=True)
    ]
    (route,) = [
        each.outcome for each in found.splits["test"] if each.outcome.name == "prompt, 2 solved examples"
    ]
    assert route.right.tolist() == [float(each) for each in right]
    sampled = generate(
        weaker,
        [each.prompt for each in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=CONFIG.budget,
        temperature=CONFIG.temperature,
        seed=CONFIG.seed,
    )
    passed = [
        any(
            grade(task.grader, text, each.answer).lenient
            for text in sampled.texts[i * CONFIG.budget : (i + 1) * CONFIG.budget]
        )
        for i, each in enumerate(problems)
    ]
    (at_k,) = [each.outcome for each in found.splits["test"] if each.outcome.name == "pass@3"]
    assert at_k.right.tolist() == [float(each) for each in passed]


def test_the_table_says_which_route_is_training(made):
    lines = table_lines(made[2])
    assert sum("(training)" in line for line in lines) == 1
    assert any(f"{FITTED} (training)" in line for line in lines)


@pytest.mark.parametrize(
    ("grader", "text", "answer"),
    [
        (Grader(kind="number"), "3 plus 4 is -7.5, so", "-7.5,"),
        (Grader(kind="regex", pattern=r"answer (\d)"), "answer 3 no answer 4 5", "4"),
        (Grader(kind="exact"), "it is Paris \n", "Paris"),
        (Grader(kind="number"), "none", None),
    ],
)
def test_the_answer_is_found_whatever_the_right_one_is(grader, text, answer):
    span = find_answer(grader, text)
    assert (None if span is None else text[slice(*span)]) == answer


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
@pytest.mark.filterwarnings("ignore")
def test_kappa_is_that_of_scikit_learn(pairs):
    a, b = (np.array(column) for column in zip(*pairs, strict=True))
    assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), nan_ok=True)
