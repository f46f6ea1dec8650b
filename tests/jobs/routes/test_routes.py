"""Routes side by side: each grade is that of plain generation, and agreement is scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tests.imports import import_graph
from tests.made_up_sae import sae_of
from undertext import RoutesConfig, RoutesResult, routes
from undertext.activations import Checkpoint, HookPoint, Intervention, generate
from undertext.core.packing import pack, unpack
from undertext.jobs.routes.groups import Outcome, RouteParts
from undertext.jobs.routes.job import kappa
from undertext.jobs.routes.report import lines
from undertext.measures.recovery.trained import BY_REWARD, FITTED, RLVR, Trained, train_weights
from undertext.steering import Practice, copy_with_weights, reinforce_weights
from undertext.tasks import Contrast, Grader, Task, drawn, grade, load_task
from undertext.tasks.draws import seeds
from undertext.tasks.grade import find_answer
from undertext.tasks.open import open_task
from undertext.tasks.output_grader import OutputGrader

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
def task(sums) -> Task:
    contrast = Contrast(name="sign", positive="= {prompt}", negative="+ {prompt}")
    return open_task(load_task(sums).model_copy(update={"contrasts": [contrast]}))


@pytest.fixture(scope="module")
def result(task, sums_pair, given_vector, tmp_path_factory) -> RoutesResult:
    folder = tmp_path_factory.mktemp("sae")
    sae_of(sums_pair.base, width=64).save_model(folder)
    config = CONFIG.model_copy(update={"sae": folder})
    return routes(
        sums_pair.base, sums_pair.tuned, task, vectors=[given_vector], config=config, progress=False
    )


@pytest.fixture(scope="module")
def parts(task, sums_pair) -> RouteParts:
    return RouteParts(sums_pair.base, sums_pair.tuned, task, task, CONFIG, [0, 1])


@pytest.fixture(scope="module")
def trained(parts) -> dict[str, Trained]:
    """What training makes, by name, as a job reads it that was killed after it."""
    made = [unpack(pack(part.make(lambda rows: None))) for part in parts.training()]
    return {each.name: each for each in made}


@pytest.fixture(scope="module")
def outcomes(parts, trained) -> dict[str, Outcome]:
    """By name, with a grade for each problem of test."""
    run = [*parts.untrained("test"), *(parts.trained("test", name, each) for name, each in trained.items())]
    return {outcome.name: outcome for part in run for outcome in part.make(lambda rows: None).outcomes}


def plainly(who: Checkpoint, task: Task, prompts: list[str] | None = None, **options) -> list[list[float]]:
    """Grades of what a checkpoint writes, by problem and sample."""
    problems = task.split("test")
    given = prompts or [problem.prompt for problem in problems]
    out = generate(who, given, max_new_tokens=task.max_new_tokens, stop=task.stop, **options)
    each, right = len(out.texts) // len(problems), OutputGrader(task)
    asked = [problem for problem in problems for _ in range(each)]
    grades = [float(right(*row).lenient) for row in zip(out.texts, asked, out.cut, strict=True)]
    return [grades[i : i + each] for i in range(0, len(grades), each)]


def test_every_route_is_there_and_within_its_tokens(task, sums_pair, result):
    found = result.splits["test"]
    kinds = [route.kind for route in found]
    assert set(kinds) >= {"control", "feature", "given direction", "decoding", "prompt", "training"}
    for route in found:
        assert 0 <= route.tokens <= CONFIG.budget * task.max_new_tokens
        assert route.accuracy.n == len(task.split("test"))
        assert route.training == (route.name in (FITTED, BY_REWARD, RLVR))
        assert route.training == (route.training_tokens > 0)
        assert route.gap is not None
        assert route.gap.low <= route.gap.value <= route.gap.high
    assert sum(route.training for route in found) == 3
    rows = result.tables["agreement"].to_pylist()
    assert len(rows) == len(kinds) ** 2
    assert all(row["alike"] == 1 for row in rows if row["route"] == row["other"])
    assert result.unaided["test"]["stronger"].value > 0.9 > result.unaided["test"]["weaker"].value
    weaker = sums_pair.base
    assert weaker.fingerprint == Checkpoint.load(weaker.model, tokenizer=weaker.tokenizer).fingerprint


def test_features_are_a_route_of_their_own_beside_random_ones(result):
    named = {route.name: route for route in result.splits["test"]}
    (one,) = [each for each in named.values() if each.kind == "feature"]
    assert one.name.startswith("SAE feature, feature ")
    assert one.access == "weaker only"  # the SAE says that it was trained on it
    assert not any(name.startswith("vector, feature") for name in named)
    controls = [name for name, each in named.items() if each.kind == "control"]
    assert [name.rsplit(" ", 1)[0].split(" like feature")[0] for name in controls] == [
        "random direction, random",
        "random feature,",
    ]


def test_grades_are_those_of_plain_generation(task, sums_pair, outcomes, result):
    shown = [f"{each.prompt} {each.answer}" for each in drawn(task.split("train"), CONFIG.seed, CONFIG.shots)]
    prompts = ["\n".join([*shown, each.prompt]) for each in task.split("test")]
    few_shot = [rows[0] for rows in plainly(sums_pair.base, task, prompts)]
    assert outcomes["prompt, 2 solved examples"].right.tolist() == few_shot
    sampled = plainly(
        sums_pair.base,
        task,
        samples=CONFIG.budget,
        temperature=CONFIG.temperature,
        seed=seeds(task.split("test"), CONFIG.seed),
    )
    assert outcomes["pass@3"].right.tolist() == [max(rows) for rows in sampled]
    accuracy = {route.name: route.accuracy.value for route in result.splits["test"]}
    for name, outcome in outcomes.items():
        assert accuracy[name] == pytest.approx(outcome.right.mean())


def test_what_is_trained_by_reward_is_graded_as_it_writes(task, sums_pair, trained, outcomes):
    """Greedy, with all that was trained: a copy's weights, or a vector at every layer and every token."""
    weaker, vectors, copied = sums_pair.base, trained[BY_REWARD], trained[RLVR]
    acting = [
        Intervention(HookPoint(layer, "resid_post"), vectors.directions[layer], 1.0, "all")
        for layer in (0, 1)
    ]
    steered = plainly(weaker, task, interventions=[acting] * len(task.split("test")))
    assert outcomes[BY_REWARD].right.tolist() == [rows[0] for rows in steered]
    assert copied.weights is not None
    learnt = copy_with_weights(weaker, copied.weights)
    assert outcomes[RLVR].right.tolist() == [rows[0] for rows in plainly(learnt, task)]
    for each in (vectors, copied):
        assert outcomes[each.name].training_tokens == each.tokens > 0
    train = task.split("train")
    again = reinforce_weights(
        weaker,
        [each.prompt for each in train],
        lambda row, text, cut: float(grade(task.grader, text, train[row].answer).lenient),
        Practice(4, ("\n",), steps=2, samples=3, prompts=4, lr=CONFIG.rlvr_lr),
    )
    assert again.checkpoint.fingerprint == learnt.fingerprint


def test_no_verdict_can_rest_on_what_was_trained():
    graph = import_graph()
    users = {name for name, used in graph.items() if "undertext.measures.recovery.trained" in used}
    own = {name for name in users if not name.startswith("tests.")}
    assert own == {"undertext.jobs.routes.groups", "undertext.jobs.routes.works"}
    reinforced = {name for name, used in graph.items() if "undertext.steering.reinforced" in used}
    # Organisms are trained by reward as well; what judges knows none of them.
    trained = {"undertext.steering", "undertext.organisms.findings.build"}
    assert {name for name in reinforced if not name.startswith("tests.")} == trained


def test_where_no_reward_differs_the_notes_say_that_nothing_was_learnt(task, sums_pair):
    never = task.model_copy(
        update={"problems": [each.model_copy(update={"answer": "9999999"}) for each in task.problems]}
    )
    weaker = sums_pair.base
    made = train_weights(weaker, never, Practice(4, ("\n",), steps=2, samples=3, prompts=4))
    assert "0.00 in its last; no gradient in any of 2 updates" in made.note
    assert "nothing was learnt" in made.note
    assert made.weights is not None
    assert copy_with_weights(weaker, made.weights).fingerprint == weaker.fingerprint


def test_training_by_reward_can_be_left_out(task, sums_pair):
    quick = {"fit_steps": 1, "search_problems": 2, "vector_problems": 8, "random_directions": 1}
    for left_out, noted in (({"rlvr_steps": 0}, False), ({"budget": 1}, True)):
        config = CONFIG.model_copy(update={**quick, **left_out})
        found = routes(sums_pair.base, sums_pair.base, task, config=config, progress=False)
        assert [route.name for route in found.splits["test"] if route.training] == [FITTED]
        assert any("a budget of 1 has none" in note for note in found.notes) == noted
        assert all(route.gap is None for route in found.splits["test"])


@pytest.mark.slow
def test_the_table_and_the_page_say_which_route_is_training(result):
    said = lines(result)
    assert sum("(training)" in line for line in said) == 3
    assert any(f"{FITTED} (training)" in line for line in said)
    assert any(f"note: {RLVR}: mean reward" in line for line in said)
    page = result.files()["report.html"].decode()
    assert page.count("(training)</th>") == 3
    for part in ("Routes on test", "Agreement", "no evidence that the capability was latent", "rlvr_prompts"):
        assert part in page


@pytest.mark.parametrize(
    ("grader", "text", "answer"),
    [
        (Grader(kind="number"), "3 plus 4 is -7.5, so", "-7.5"),
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
