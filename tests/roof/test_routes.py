"""Routes side by side: each grade is that of plain generation, and agreement is scikit-learn's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from tests.roof.test_feature_steering import sae_of
from tests.roof.test_steer import GIVEN
from undertext import Routes, RoutesConfig, routes
from undertext.activations import Checkpoint, HookPoint, Intervention, generate
from undertext.jobs.routes.command import table_lines
from undertext.measures.recovery.routes import find_answer, kappa
from undertext.measures.recovery.trained import BY_REWARD, FITTED, RLVR, train_vectors, train_weights
from undertext.steering import Practice, reinforce_weights
from undertext.tasks import Contrast, Grader, Task, grade, load_task

CONFIG = RoutesConfig(
    doses=(1.0,),
    random_directions=2,
    search_problems=8,
    vector_problems=40,
    budget=3,
    fit_steps=40,
    rlvr_steps=2,
    rlvr_prompts=4,
    threads=1,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Task, Checkpoint, Routes]:
    task = load_task(write_by_hand(tmp_path_factory.mktemp("sums") / "task", plain_problems(), 4))
    contrast = Contrast(name="sign", positive="= {prompt}", negative="+ {prompt}")
    task = task.model_copy(update={"contrasts": [contrast]})
    tokenizer = tokenizer_for(plain_problems())
    weaker = Checkpoint.load(blank(tokenizer, 0), tokenizer=tokenizer)
    able = Checkpoint.load(learnt(plain_problems(), tokenizer), tokenizer=tokenizer)
    folder = tmp_path_factory.mktemp("sae")
    sae_of(weaker, width=64).save_model(folder)
    config = CONFIG.model_copy(update={"sae": folder})
    found = routes(weaker, able, task, vectors=[GIVEN], config=config, progress=False)
    return task, weaker, found


def test_every_route_is_there_and_within_its_tokens(made):
    task, weaker, found = made
    kinds = [route.outcome.kind for route in found.splits["test"]]
    assert set(kinds) >= {"control", "feature", "given direction", "decoding", "prompt", "training"}
    for route in found.splits["test"]:
        outcome = route.outcome
        assert 0 <= outcome.tokens <= CONFIG.budget * task.max_new_tokens
        assert len(outcome.right) == len(task.split("test"))
        assert outcome.trained == (outcome.name in (FITTED, BY_REWARD, RLVR))
        assert outcome.trained == (outcome.training_tokens > 0)
        assert route.gap is not None
        assert route.gap.low <= route.gap.value <= route.gap.high
    assert sum(route.outcome.trained for route in found.splits["test"]) == 3
    rows = found.tables["agreement"].to_pylist()
    assert len(rows) == len(kinds) ** 2
    assert all(row["alike"] == 1 for row in rows if row["route"] == row["other"])
    assert found.unaided["test"]["stronger"].value > 0.9 > found.unaided["test"]["weaker"].value
    assert weaker.fingerprint == Checkpoint.load(weaker.model, tokenizer=weaker.tokenizer).fingerprint


def test_features_are_a_route_of_their_own_beside_random_ones(made):
    named = {route.outcome.name: route.outcome for route in made[2].splits["test"]}
    (one,) = [each for each in named.values() if each.kind == "feature"]
    assert one.name.startswith("SAE feature, feature ")
    assert one.knows == "weaker only"  # the SAE says that it was trained on it
    assert not any(name.startswith("vector, feature") for name in named)
    controls = [name for name, each in named.items() if each.kind == "control"]
    assert [name.rsplit(" ", 1)[0].split(" like feature")[0] for name in controls] == [
        "random direction, random",
        "random feature,",
    ]


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


def test_what_is_trained_by_reward_is_graded_as_it_writes(made):
    """Greedy, with all that was trained: a copy's weights, or a vector at every layer and every token."""
    task, weaker, found = made
    named = {route.outcome.name: route.outcome for route in found.splits["test"]}
    problems, layers = task.split("test"), [0, 1]
    vectors, copied = train_vectors(weaker, task, layers, CONFIG), train_weights(weaker, task, CONFIG)
    assert all(isinstance(each, Intervention) and each.at == "all" for each in vectors.acting)
    assert [each.point for each in vectors.acting] == [HookPoint(layer, "resid_post") for layer in layers]
    for trained in (vectors, copied):
        out = generate(
            trained.checkpoint,
            [each.prompt for each in problems],
            max_new_tokens=task.max_new_tokens,
            stop=task.stop,
            interventions=[list(trained.acting)] * len(problems),
        )
        right = [
            grade(task.grader, text, each.answer).lenient
            for text, each in zip(out.texts, problems, strict=True)
        ]
        assert named[trained.name].right.tolist() == [float(each) for each in right]
        assert named[trained.name].training_tokens == trained.tokens > 0
    train = task.split("train")
    again = reinforce_weights(
        weaker,
        [each.prompt for each in train],
        lambda row, text: float(grade(task.grader, text, train[row].answer).lenient),
        Practice(4, ("\n",), steps=2, samples=3, prompts=4, lr=CONFIG.rlvr_lr),
    )
    assert again.checkpoint.fingerprint == copied.checkpoint.fingerprint


def test_no_verdict_can_rest_on_what_was_trained():
    using = [path.name for path in Path("undertext").rglob("*.py") if "trained_routes" in path.read_text()]
    assert using == ["routes_run.py"]
    using = [path.name for path in Path("undertext").rglob("*.py") if "reinforce" in path.read_text()]
    assert set(using) == {"routes_run.py", "trained_routes.py"}


def test_where_no_reward_differs_the_notes_say_that_nothing_was_learnt(made):
    task, weaker, _ = made
    never = task.model_copy(
        update={"problems": [each.model_copy(update={"answer": "9999999"}) for each in task.problems]}
    )
    trained = train_weights(weaker, never, CONFIG)
    assert "0.00 in its last; no gradient in any of 2 updates" in trained.note
    assert "nothing was learnt" in trained.note
    assert trained.checkpoint.fingerprint == weaker.fingerprint


def test_training_by_reward_can_be_left_out(made):
    task, weaker, _ = made
    quick = {"fit_steps": 1, "search_problems": 2, "vector_problems": 8, "random_directions": 1}
    for left_out, noted in (({"rlvr_steps": 0}, False), ({"budget": 1}, True)):
        config = CONFIG.model_copy(update={**quick, **left_out})
        found = routes(weaker, weaker, task, config=config, progress=False)
        trained = [route.outcome.name for route in found.splits["test"] if route.outcome.trained]
        assert trained == [FITTED]
        assert any("a budget of 1 has none" in note for note in found.notes) == noted
        assert all(route.gap is None for route in found.splits["test"])


def test_the_table_says_which_route_is_training(made):
    lines = table_lines(made[2])
    assert sum("(training)" in line for line in lines) == 3
    assert any(f"{FITTED} (training)" in line for line in lines)
    assert any(f"note: {RLVR}: mean reward" in line for line in lines)


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
