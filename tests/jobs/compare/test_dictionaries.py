"""A comparison that is given an SAE and a crosscoder: what it reads of them, and what it refuses."""

import pytest
import torch

from tests.made_up_sae import LAYER, sae_of
from tests.planned import agrees
from undertext import CompareConfig, compare
from undertext.activations import HookPoint, UserError, capture
from undertext.core.job import JobRun
from undertext.core.progress import Progress
from undertext.jobs.compare.dictionaries import (
    dictionary_summary,
    dictionary_tables,
    open_dictionaries,
    read_dictionaries,
)
from undertext.measures.trace.output_tokens import placed
from undertext.saes import Training, train_crosscoder
from undertext.tasks.open import open_task

SMALL = CompareConfig(
    layers=(LAYER,), doses=(1.0,), random_directions=1, random_features=1, sae_features=1, search_problems=6,
    vector_problems=12, samples=2, trace_problems=0, feature_problems=10, feature_pages=3, threads=1,
)  # fmt: skip
POINT = HookPoint(LAYER, "resid_post")


@pytest.fixture(scope="module")
def given(sums_pair, tmp_path_factory):
    """Folders of an SAE with random weights, and of a crosscoder of a few steps."""
    root = tmp_path_factory.mktemp("dictionaries")
    sae_of(sums_pair.base, width=64).save_model(root / "sae")
    noise = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 1, 400, 64, generator=noise)
    config = Training(d_sae=16, k=3, steps=4, batch_size=32, held_out=50)
    train_crosscoder((rows[0], rows[1]), config, points=(POINT,), folder=root / "crosscoder", progress=False)
    return {"sae": root / "sae", "crosscoder": root / "crosscoder"}


@pytest.mark.slow
def test_features_latents_and_tokens_are_read_within_the_plan(sums_pair, sums, given, monkeypatch):
    config = SMALL.model_copy(update=given)
    pair = sums_pair.base, sums_pair.tuned
    plan = agrees(monkeypatch, lambda **more: compare(*pair, sums, config=config, **more), sums_pair.base)
    works = {work.stage: work for work in plan.works}
    assert not works["latents of the crosscoder"].why  # known exactly
    result = compare(*pair, sums, config=config, progress=False)
    searched = {row["vector"] for row in result.tables["sweep"].to_pylist() if not row["control"]}
    steered = {int(name.split()[1]) for name in searched if name.startswith("feature ")}
    rows = result.tables["features"].to_pylist()
    assert {row["feature"] for row in rows if row["chosen_by"].startswith("steered with: ")} == steered
    assert len(rows) == 3
    assert [row["feature"] for row in result.tables["pages"].to_pylist() if row["of"] == "sae"] == [
        row["feature"] for row in rows
    ]
    low = [
        flag for flag in next(iter(result.splits.values())).flags if flag.startswith("low fidelity: the SAE")
    ]
    assert low  # its weights are random
    assert result.tables["latents"].num_rows == 16
    assert "latents" in result.figures()
    # Every token's strength is what the SAE encodes there.
    sae, feature = open_dictionaries(config, sums_pair).sae, rows[0]["feature"]
    assert sae is not None
    assert result.summary["sae"]["token_feature"] == feature
    tokens = [row for row in result.tables["tokens"].to_pylist() if row["output"] == row["reader"] == "tuned"]
    problems = {problem.id: problem for split in result.splits for problem in open_task(sums).split(split)}
    outputs = {row["id"]: row["tuned_output"] for row in result.tables["problems"].to_pylist()}
    scale = result.summary["sae"]["scales"]["tuned"]
    assert any(max(row["strength"], default=0) > 0 for row in tokens)
    for row in tokens[:5]:
        at = placed(sums_pair.tuned, [problems[row["id"]]], [outputs[row["id"]]])
        X = capture(sums_pair.tuned, at.ids, [POINT], "all")[POINT][at.places[0]]
        assert row["strength"] == pytest.approx(sae.sae.encode(X * scale)[:, feature].tolist(), abs=1e-4)
        assert row["feature"] == feature


@pytest.mark.slow
def test_another_feature_shades_where_it_is_asked_for(sums_pair, sums, given):
    config = SMALL.model_copy(update={"sae": given["sae"], "token_feature": 23, "feature_pages": 0})
    result = compare(sums_pair.base, sums_pair.tuned, sums, config=config, progress=False)
    assert set(result.tables["tokens"]["feature"].to_pylist()) == {23}
    assert result.summary["sae"]["token_feature"] == 23
    assert not {"features", "pages", "latents"} & set(result.tables)
    assert "crosscoder" not in result.summary


def test_what_does_not_fit_is_refused_before_any_work(sums_pair, given):
    def opened(**changes):
        return open_dictionaries(SMALL.model_copy(update=changes), sums_pair)

    with pytest.raises(UserError, match="got a crosscoder, whose latents are not steered with"):
        opened(sae=given["crosscoder"])
    with pytest.raises(UserError, match=r"normalisation\.safetensors is missing"):
        opened(crosscoder=given["sae"])
    with pytest.raises(UserError, match=r"expected an SAE \(`sae`\), got none"):
        opened(token_feature=1)
    with pytest.raises(UserError, match="expected a `token_feature` from 0 to 23, which the SAE has, got 24"):
        opened(sae=given["sae"], token_feature=24)
    nothing = opened()
    assert nothing == (None, None)
    assert nothing.inputs == {}
    assert opened(crosscoder=given["crosscoder"]).inputs["crosscoder"] is not None


def test_where_tokens_differ_nothing_is_read_and_the_page_says_why(sums_pair, sums, given):
    config = SMALL.model_copy(update=given)
    run, opened = JobRun("compare", config, None, None, Progress(False)), open_dictionaries(config, sums_pair)
    found = read_dictionaries(
        run, opened, sums_pair, open_task(sums), ["test"], config, [], shared_tokens=False
    )
    assert (found.features, found.latents, found.at_tokens, found.flags) == (None, None, None, [])
    assert found.missing == [
        "Features of the pair: the two checkpoints do not read the same tokens, and a feature's page shows "
        "both at each."
    ]
    assert dictionary_summary(opened, found, config) == {}
    assert dictionary_tables(found) == {}


@pytest.mark.slow
def test_a_pair_that_does_not_differ_shows_what_predicts_the_values(sums_pair, sums, given):
    config = SMALL.model_copy(update=given)
    result = compare(sums_pair.base, sums_pair.base, sums, config=config, progress=False)
    assert all(split.weaker == "neither" for split in result.splits.values())
    rows = result.tables["features"].to_pylist()
    assert len(rows) == 3
    assert not any(row["chosen_by"].startswith("steered") for row in rows)
    assert [row["frequency_base"] for row in rows] == [row["frequency_tuned"] for row in rows]
    assert {row["fate"] for row in rows} == {"stable"}
    assert "Features of the pair" in result.files()["report.html"].decode()
