"""What a plan says beside what the same job then reads and writes."""

from typing import Any

import pytest

from tests.made_up_sae import sae_of
from tests.made_up_task import CONFIG, STRONGER, WEAKER, checkpoint, task_of
from tests.planned import agrees
from tests.reading_task import made_task
from tests.toys import save_folder, word_tokenizer
from undertext import (
    CompareConfig,
    ProbeConfig,
    SteerConfig,
    TraceConfig,
    compare,
    new_chain,
    probe,
    read_trace,
    steer,
)
from undertext.core import planner
from undertext.core.dry_run import plans_of
from undertext.core.plan import Plan, Rates
from undertext.core.setup import open_checkpoint
from undertext.measures.answers import greedy
from undertext.tasks import Contrast, Grader, Problem, Task

CONTRAST = Contrast(name="so", positive="so {prompt}", negative="answer {prompt}")
STEERING = CONFIG.model_dump() | {"positions": CONFIG.positions}
OTHERS = CompareConfig(
    layers=(1,), doses=(1.0, 2.0), random_directions=1, search_problems=6, vector_problems=12, samples=2
)


@pytest.mark.slow
@pytest.mark.parametrize("search", ["grid", "halving"])
@pytest.mark.parametrize("pair", [False, True])
def test_steering_with_contrasts_is_known_but_for_what_rows_share(monkeypatch, search, pair):
    config = SteerConfig(**STEERING | {"search": search, "operators": ("add", "ablate")})
    task = task_of([CONTRAST])
    stronger = STRONGER if pair else None
    plan = agrees(
        monkeypatch, lambda **more: steer(WEAKER, task, config=config, stronger=stronger, **more), WEAKER
    )
    works = {work.stage: work for work in plan.works}
    assert not works["vectors"].shared
    assert [work.stage for work in plan.works if work.why] == ["side effects"]
    result = steer(WEAKER, task, config=config, stronger=stronger, progress=False)
    assert works["steering search"].rows == sum(row["problems"] for row in result.tables["sweep"].to_pylist())
    vectors = {row["vector"] for row in result.tables["recovery"].to_pylist()}
    assert works["steering on test"].rows == len(vectors) * 30


def test_rollouts_and_thresholds_are_known_up_to_what_is_written(monkeypatch):
    config = SteerConfig(
        **STEERING | {"search": "grid", "positions": ({"above": 0.8, "at": "all"}, "generated")}
    )
    plan = agrees(
        monkeypatch, lambda **more: steer(WEAKER, task_of(), config=config, stronger=STRONGER, **more), WEAKER
    )
    works = {work.stage: work for work in plan.works}
    assert works["vectors"].written == 4 * 20 * 3
    assert works["vectors"].why
    assert works["steering search"].why


def test_features_of_an_sae_are_no_more_than_stated(monkeypatch, tmp_path):
    sae_of(WEAKER).save_model(tmp_path / "sae")
    config = SteerConfig(**STEERING | {"sae": tmp_path / "sae", "sae_features": 1, "random_features": 2})
    task = task_of([CONTRAST])
    plan = agrees(monkeypatch, lambda **more: steer(WEAKER, task, config=config, **more), WEAKER)
    works = {work.stage: work for work in plan.works}
    assert works["vectors"].written == 3 * 20 * 3  # prompts in three wordings, as many tokens each
    result = steer(WEAKER, task, config=config, progress=False)
    tried = sum(row["problems"] for row in result.tables["sweep"].to_pylist())
    assert tried <= works["steering search"].rows


def test_choices_are_read_and_nothing_is_written(monkeypatch):
    problems = [
        Problem(id=f"{split}{k}", split=split, prompt=f"{name} = {k} {'so ' * (k % 3)}:", answer=str(k % 3),
                choices=["0", "1", "2"])
        for split, name in (("train", "a"), ("dev", "b"), ("test", "c")) for k in range(9)
    ]  # fmt: skip
    task = Task(
        name="chosen", description="For a test.", grader=Grader(kind="likelihood"), problems=problems,
        max_new_tokens=2,
    )  # fmt: skip
    config = SteerConfig(**STEERING | {"search": "grid"})

    def job(**more: Any) -> Any:
        return steer(WEAKER, task, config=config, stronger=STRONGER, **more)

    plan = agrees(monkeypatch, job, WEAKER)
    assert plan.written == 0
    works = {work.stage: work for work in plan.works}
    assert not works["steering search"].shared  # each choice is read for itself where something acts
    (measured,) = plans_of(lambda: job(progress=False))
    assert measured.rates.passes == {}, "the rate of writing is not asked for"
    assert measured.usual_s is None


@pytest.mark.slow
@pytest.mark.parametrize("splits", [("test",), pytest.param(("test", "ood"), marks=pytest.mark.slow)])
def test_a_comparison_of_the_zoo_stays_within_its_plan(monkeypatch, splits):
    task = new_chain(0, train=100, dev=12, test=40, ood=20)
    base, tuned = (open_checkpoint(f"zoo:{name}") for name in ("base", "elicited"))
    config = OTHERS.model_copy(update={"splits": splits})
    plan = agrees(monkeypatch, lambda **more: compare(base, tuned, task, config=config, **more), base)
    assert {work.stage for work in plan.works if not work.why} == {
        f"{role} on {split}" for role in ("base", "tuned") for split in splits
    }


@pytest.mark.slow
def test_a_comparison_without_values_stays_within_its_plan(monkeypatch, sums, sums_pair):
    config, ends = OTHERS.model_copy(update={"search": "halving"}), (sums_pair.base, sums_pair.tuned)
    plan = agrees(monkeypatch, lambda **more: compare(*ends, sums, config=config, **more), sums_pair.base)
    assert "reading whether it will be right" in {work.stage for work in plan.works}


def test_less_is_the_share_of_the_time_that_tokens_give(monkeypatch):
    """At rates that are made up: 100 tokens read a second, and 10 written in however many rows."""
    rates = Rates(100.0, {1: 0.1}, 2.0, 1.5, 64, 0.0)
    monkeypatch.setattr(planner, "measure_rates", lambda trial, works: rates)

    def planned(**settings: Any) -> Plan:
        own = {"search": "halving", "search_problems": 30, "side_texts": ("a b c d",)}
        config = SteerConfig(**STEERING | own | settings)
        (plan,) = plans_of(lambda: steer(WEAKER, task_of([CONTRAST]), config=config, progress=False))
        return plan

    def seconds(plan: Plan, length: float = 1.0) -> float:
        return sum(
            work.read / 100 + length * work.written / 10 * (2 if work.steered else 1) for work in plan.works
        )

    plan = planned()
    assert plan.most_s == pytest.approx(seconds(plan))
    assert plan.usual_s == pytest.approx(seconds(plan, 1.5 / 3))  # of at most three tokens
    by_grid = planned(search="grid")
    assert by_grid.less["search halving"] == pytest.approx(plan.most_s / by_grid.most_s)
    assert plan.less["search_problems 15"] == pytest.approx(
        seconds(planned(search_problems=15)) / plan.most_s
    )
    assert all(0 < share <= 0.95 for share in plan.less.values())
    most = max(work.rows * (work.longest + 3) for work in plan.works if work.written)
    logits = 2 * 4 * WEAKER.d_vocab * 512
    written = 64 * min(most, 512 * (max(work.longest for work in plan.works) + 3))
    assert written < plan.memory.batch <= written + logits
    used = plan.memory.used or plan.memory.weights
    assert plan.memory.all == used + plan.memory.batch + plan.memory.kept + plan.memory.spare
    weights = sum(each.numel() * each.element_size() for each in WEAKER.model.parameters())
    buffers = sum(each.numel() * each.element_size() for each in WEAKER.model.buffers())
    assert weights <= plan.memory.weights <= weights + buffers


@pytest.mark.slow
def test_a_comparison_by_choices_stays_within_its_plan(monkeypatch):
    """What the one checkpoint chooses is right, so that the other is the weaker."""
    problems = [
        Problem(id=f"{split}{k}", split=split, prompt=f"{name} = {k % 10} {'so ' * (k % 5)}:", answer="0",
                choices=["0", "1", "2"])
        for split, name in (("train", "a"), ("dev", "b"), ("test", "c")) for k in range(50)
    ]  # fmt: skip
    task = Task(
        name="chosen", description="For a test.", grader=Grader(kind="likelihood"), problems=problems,
        max_new_tokens=2,
    )  # fmt: skip
    able = checkpoint(8)
    chosen = greedy(able, task, problems).texts
    answered = [each.model_copy(update={"answer": own}) for each, own in zip(problems, chosen, strict=True)]
    task = task.model_copy(update={"problems": answered})
    plan = agrees(monkeypatch, lambda **more: compare(WEAKER, able, task, config=OTHERS, **more), WEAKER)
    result = compare(WEAKER, able, task, config=OTHERS, progress=False)
    assert result.splits["test"].weaker == "base"
    assert plan.written == 0


@pytest.mark.slow
def test_reading_along_traces_is_known_but_for_a_lens(monkeypatch):
    task = made_task(train=120, dev=40, test=30)
    rid = [problem.model_copy(update={"steps": []}) for problem in task.problems]
    task = task.model_copy(update={"problems": rid})
    config = TraceConfig(layers=(0, 2), problems=20)
    plan = agrees(monkeypatch, lambda **more: read_trace(WEAKER, task, config=config, **more), WEAKER)
    assert [work.stage for work in plan.works if work.why] == ["tuned lens"]
    assert plan.disk is None
    assert "readers probe logit_lens" in plan.less


@pytest.mark.slow
def test_probing_is_known(monkeypatch):
    config = ProbeConfig(
        layers=(0, 2),
        positions=(0, -1, "prompt_end"),
        controls=("random_init", "control"),
        draws=1,
        transfer=("layer", "checkpoint"),
    )
    checkpoints, tasks = {"base": WEAKER, "tuned": STRONGER}, {"made": made_task(train=60, dev=20, test=12)}
    plan = agrees(monkeypatch, lambda **more: probe(checkpoints, tasks, config=config, **more), WEAKER)
    assert plan.exact
    assert [work.stage for work in plan.works] == ["probing", "transporting", "transferring", "aligning"]
    weights = [*WEAKER.model.parameters(), *WEAKER.model.buffers()]
    assert plan.memory.copies == sum(each.numel() * each.element_size() for each in weights)


def test_weights_in_files_make_room_for_a_random_init(tmp_path):
    config = ProbeConfig(layers=(2,), controls=("random_init",), draws=1)
    tasks = {"made": made_task(train=60, dev=20, test=12)}
    stored = save_folder(tmp_path / "stored", WEAKER.model, word_tokenizer())

    def planned(given: Any) -> list[Plan]:
        return plans_of(lambda: probe({"one": given}, tasks, config=config, progress=False))

    live, read = planned(WEAKER), planned(stored)
    assert live[0].memory.copies == live[0].memory.weights > 0
    assert read[0].memory.copies == 0
    assert read[0].memory.weights == live[0].memory.weights
