"""The plans of `sae train`, `sae features` and `sae diff` beside what they then read and write."""

import pytest

from tests.planned import agrees
from undertext.activations import Checkpoint
from undertext.core import rates
from undertext.core.dry_run import plans_of
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.job import feature_diff
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.jobs.sae_features.job import feature_table
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.job import train_dictionary

TRAIN = TrainConfig(d_sae=24, k=3, layers=(1,), steps=6, batch_size=64, held_out=100, threads=1)


@pytest.fixture(scope="module")
def pair(folders) -> dict[str, Checkpoint]:
    return {name: Checkpoint.load(folders[name]) for name in ("base", "tuned")}


@pytest.mark.parametrize(
    "kind", ["sae", *(pytest.param(each, marks=pytest.mark.slow) for each in ("difference", "crosscoder"))]
)
def test_training_is_known(monkeypatch, pair, task, tmp_path, kind):
    config = TRAIN.model_copy(update={"kind": kind})
    tuned = None if kind == "sae" else pair["tuned"]
    out = iter([None, tmp_path / "out"])
    plan = agrees(
        monkeypatch,
        lambda **more: train_dictionary(pair["base"], tuned, task=task, config=config, out=next(out), **more),
        pair["base"],
    )
    assert plan.exact
    assert plan.updates == 6
    assert plan.rates.update > 0
    assert plan.less == {"steps 3": pytest.approx(plan.less["steps 3"])}
    activations = sum(
        each.stat().st_size for each in (tmp_path / "out" / "activations").rglob("*.safetensors")
    )
    # Four copies of the strengths of 24 latents in float32 at each token held out, which is read four times.
    encoded = 4 * 24 * 4 * plan.works[-1].read // 4 if kind == "sae" else 0
    assert 0 < plan.memory.kept - encoded <= activations <= plan.disk


def test_a_store_is_trained_on_without_reading_a_text(pair, task, tmp_path):
    train_dictionary(pair["base"], task=task, config=TRAIN, out=tmp_path / "out", progress=False)
    store = tmp_path / "out" / "activations"
    (plan,) = plans_of(lambda: train_dictionary(store=store, config=TRAIN, progress=False))
    assert [work.stage for work in plan.works] == ["training"]
    assert (plan.read, plan.updates, plan.disk) == (0, 6, None)


def test_an_update_is_timed_by_several_less_one(monkeypatch):
    """By a clock that goes on by 3 s at the start of a training, and by 2 s an update."""
    now = [0.0]
    monkeypatch.setattr(rates, "perf_counter", lambda: now[0])

    def update(count: int) -> None:
        now[0] += 3 + 2 * count

    assert rates._update(update) == pytest.approx(2)


@pytest.mark.parametrize("changes", [{}, {"plain_texts": ("find 3", "a = b")}])
def test_features_are_known(monkeypatch, pair, task, folders, changes):
    config = FeaturesConfig(words=("so", "answer"), inject=1, pages=2, threads=1, **changes)
    plan = agrees(
        monkeypatch,
        lambda **more: feature_table(pair["base"], task, folders["sae"], config=config, **more),
        pair["base"],
    )
    assert plan.exact
    assert [work.stage for work in plan.works] == ["encoding", "falsification"]


def test_a_diff_is_known_up_to_what_fewer_features_would_take(monkeypatch, pair, task, folders):
    config = DiffConfig(effects=2, controls=2, effect_problems=10, pages=3, threads=1)
    plan = agrees(
        monkeypatch,
        lambda **more: feature_diff(
            pair["base"], pair["tuned"], task, sae=folders["sae"], config=config, **more
        ),
        pair["base"],
    )
    assert [work.stage for work in plan.works if not work.why] == ["norms"]
    (effects,) = (work for work in plan.works if work.written)
    assert effects.rows == 2 * 2 * 2 * 4 * 10
    assert "effects 1" in plan.less


@pytest.mark.slow
def test_a_diff_of_a_crosscoder_is_known(monkeypatch, pair, task, tmp_path):
    config = TRAIN.model_copy(update={"kind": "crosscoder"})
    train_dictionary(
        pair["base"], pair["tuned"], task=task, config=config, out=tmp_path / "out", progress=False
    )
    plan = agrees(
        monkeypatch,
        lambda **more: feature_diff(
            pair["base"], pair["tuned"], task, crosscoder=tmp_path / "out" / "sae",
            config=DiffConfig(pages=2, threads=1), **more,
        ),
        pair["base"],
    )  # fmt: skip
    assert plan.exact
    assert plan.memory.kept
