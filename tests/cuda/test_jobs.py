"""Whole jobs on the GPU against the same on the CPU, each on its smallest setting."""

from pathlib import Path
from typing import Any

import pytest

from tests.cuda.both import GPU
from tests.jobs.sae.conftest import FEATURES, WORDS, tuned_checkpoint
from tests.jobs.sae.conftest import made_task as word_task
from tests.made_up_sae import sae_of
from tests.reading_task import CONFIG, made_task
from tests.saes.planted_words import toy_checkpoint, word_sae
from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from tests.toys import save_folder
from undertext import (
    Checkpoint,
    CompareConfig,
    DiffConfig,
    FeaturesConfig,
    RoutesConfig,
    SteerConfig,
    TraceConfig,
    TrainConfig,
    compare,
    feature_diff,
    feature_table,
    load_pair,
    new_chain,
    probe,
    read_trace,
    routes,
    steer,
    train_dictionary,
)
from undertext.saes import load_crosscoder

SMALL: dict[str, Any] = {
    "doses": (1.0,), "random_directions": 1, "search_problems": 4, "vector_problems": 8, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> dict[str, Path]:
    """A task, and the folders of a model that was shown nothing of it and of one that was shown all."""
    root, tokenizer = tmp_path_factory.mktemp("sums"), tokenizer_for(plain_problems())
    models = {"base": blank(tokenizer, 0), "tuned": learnt(plain_problems(), tokenizer)}
    made = {name: save_folder(root / name, model, tokenizer) for name, model in models.items()}
    return {"task": write_by_hand(root / "task", plain_problems(), 4), **made}


@pytest.fixture(scope="module")
def sae(sums) -> Path:
    folder = sums["base"].parent / "sae"
    sae_of(Checkpoint.load(sums["base"]), width=64).save_model(folder)
    return folder


def accuracies(result: Any) -> dict[str, dict[str, float]]:
    return {
        split: {name: each.value for name, each in found.accuracy.items()}
        for split, found in result.splits.items()
    }


@pytest.fixture(scope="module")
def judged() -> tuple[CompareConfig, Any]:
    config = CompareConfig(
        search="halving", samples=2, search_problems=24, vector_problems=48, random_directions=2,
        doses=(1.0, 2.0), splits=("test", "ood"), threads=1,
    )  # fmt: skip
    return config, compare("zoo:base", "zoo:elicited", new_chain(0), config=config, progress=False)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_verdict_on_the_zoo(judged, dtype):
    config, wanted = judged
    config = config.model_copy(update={"device": GPU, "dtype": dtype})
    found = compare("zoo:base", "zoo:elicited", new_chain(0), config=config, progress=False)
    assert {split: each.verdict for split, each in found.splits.items()} == {
        "test": "elicited",
        "ood": "elicited",
    }
    assert {split: each.verdict for split, each in wanted.splits.items()} == {
        "test": "elicited",
        "ood": "elicited",
    }
    one, other = accuracies(found), accuracies(wanted)
    for split, names in other.items():
        for name, value in names.items():
            assert one[split][name] == pytest.approx(value, abs=1e-9 if dtype == "float32" else 0.03)
    if dtype == "float32":
        for split, result in wanted.splits.items():
            for line in result.evidence:
                same = found.splits[split].line(line.name)
                assert same is not None
                assert same.says == line.says
                if line.name == "noised":  # a device draws its own noise
                    continue
                assert same.estimate.value == pytest.approx(line.estimate.value, abs=0.03, nan_ok=True)


def test_compare_begun_on_the_gpu_goes_on_on_the_cpu(sums, tmp_path):
    config = CompareConfig(samples=2, splits=("test",), **SMALL)
    results = [
        compare(
            sums["base"], sums["tuned"], sums["task"], out=tmp_path / "out", progress=False,
            config=config.model_copy(update={"device": device}),
        )
        for device in (GPU, "cpu")
    ]  # fmt: skip
    assert results[0].summary["base"] == results[1].summary["base"]
    assert accuracies(results[0]) == accuracies(results[1])


def test_steer(sums, sae, tmp_path):
    found, wanted = (
        steer(
            sums["base"], sums["task"], stronger=sums["tuned"], out=tmp_path / device, progress=False,
            config=SteerConfig(
                **SMALL, sae=sae, random_features=2, operators=("add", "rotate"), device=device
            ),
        )
        for device in (GPU, "cpu")
    )  # fmt: skip
    assert accuracies_of_steer(found) == pytest.approx(accuracies_of_steer(wanted), abs=0.05)
    assert found.splits["test"].keys() == wanted.splits["test"].keys()


def accuracies_of_steer(result: Any) -> dict[str, float]:
    return {f"{split} {who}": each.value for split, of in result.accuracy.items() for who, each in of.items()}


def test_routes(sums, tmp_path):
    config = RoutesConfig(**SMALL, budget=2, fit_steps=3, rlvr_steps=1, rlvr_prompts=4)
    found, wanted = (
        routes(
            sums["base"], sums["tuned"], sums["task"], out=tmp_path / device, progress=False,
            config=config.model_copy(update={"device": device}),
        )
        for device in (GPU, "cpu")
    )  # fmt: skip
    for name, table in wanted.tables.items():
        assert found.tables[name].schema == table.schema
    ways = {row["route"]: row["accuracy"] for row in wanted.tables["routes"].to_pylist()}
    there = {row["route"]: row["accuracy"] for row in found.tables["routes"].to_pylist()}
    assert there.keys() == ways.keys()
    assert sum(abs(there[name] - value) < 0.06 for name, value in ways.items()) >= 0.8 * len(ways)


def tiny(folder: Path) -> dict[str, str]:
    from tests.toys import tiny_folder

    return {name: str(tiny_folder(folder / name, seed=seed)) for seed, name in enumerate(("base", "tuned"))}


def test_probe(tmp_path):
    pair, task = tiny(tmp_path), made_task()
    found, wanted = (
        probe(pair, {"made": task}, config=CONFIG.model_copy(update={"device": device}), progress=False)
        for device in (GPU, "cpu")
    )
    one, other = (each.tables["probes"].to_pylist() for each in (found, wanted))
    assert len(one) == len(other)
    off = [abs(a["accuracy"] - b["accuracy"]) for a, b in zip(one, other, strict=True)]
    assert sum(each <= 0.026 for each in off) >= 0.95 * len(off)


def test_trace(tmp_path):
    task = made_task(train=120, dev=40, test=30)
    task = task.model_copy(update={"problems": [p.model_copy(update={"steps": []}) for p in task.problems]})
    found, wanted = (
        read_trace(
            tiny(tmp_path / device)["base"], task, progress=False,
            config=TraceConfig(layers=(0, 2), problems=20, threads=1, device=device),
        )
        for device in (GPU, "cpu")
    )  # fmt: skip
    one, other = (each.tables["readings"].to_pylist() for each in (found, wanted))
    off = [abs(a["probability"] - b["probability"]) for a, b in zip(one, other, strict=True)]
    assert sum(each <= 0.01 for each in off) >= 0.95 * len(off)


@pytest.mark.parametrize("kind", ["sae", "difference", "crosscoder"])
def test_training_dictionaries_and_reading_them(kind, sums, tmp_path):
    found, wanted = (
        train_dictionary(
            sums["base"], None if kind == "sae" else sums["tuned"], task=sums["task"], out=tmp_path / device,
            config=TrainConfig(
                kind=kind, d_sae=24, k=3, layers=(1,), steps=40, batch_size=64, held_out=100, lr=3e-3,
                checkpoint_every=10, loss_texts=16, threads=1, device=device,
            ),
            progress=False,
        )
        for device in (GPU, "cpu")
    )  # fmt: skip
    assert found.fidelity.explained_variance == pytest.approx(wanted.fidelity.explained_variance, abs=0.1)
    if kind == "crosscoder":
        assert load_crosscoder(found.folder).encoders.shape[-1] == 24


def test_reading_features(tmp_path):
    made = {"base": toy_checkpoint(), "tuned": tuned_checkpoint()}
    base, tuned = (
        str(save_folder(tmp_path / name, each.model, each.tokenizer)) for name, each in made.items()
    )
    sae, task = tmp_path / "sae", word_task()
    word_sae(made["base"], FEATURES).save_model(sae)
    features = FeaturesConfig(words=WORDS, pages=2, threads=1)
    diff = DiffConfig(
        effects=2, controls=2, operators=("ablate", "clamp"), effect_problems=10, pages=3, threads=1
    )
    for name in ("features", "diff"):
        one, other = (
            feature_table(
                base, task, sae, config=features.model_copy(update={"device": device}), progress=False
            )
            if name == "features"
            else feature_diff(
                base, tuned, task, sae=sae, config=diff.model_copy(update={"device": device}), progress=False
            )
            for device in (GPU, "cpu")
        )
        assert one.tables.keys() == other.tables.keys()
        for row, right in zip(
            one.tables["features"].to_pylist(), other.tables["features"].to_pylist(), strict=True
        ):
            numbers = {key: value for key, value in right.items() if isinstance(value, float)}
            assert {key: row[key] for key in numbers} == pytest.approx(
                numbers, rel=1e-3, abs=1e-5, nan_ok=True
            )
            assert {k: v for k, v in row.items() if isinstance(v, str)} == {
                k: v for k, v in right.items() if isinstance(v, str)
            }


def test_a_pair_on_the_gpu(sums):
    pair = load_pair(sums["base"], sums["tuned"], device=GPU)
    assert pair.base.device.type == pair.tuned.device.type == "cuda"
    config = CompareConfig(samples=2, splits=("test",), **SMALL)
    assert compare(*pair, sums["task"], config=config, progress=False).splits["test"].verdict
