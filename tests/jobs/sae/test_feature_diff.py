"""What became of features in a pair where it is known, their effects, and a crosscoder's latents."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from undertext.activations import HookPoint, UserError, capture, load_pair
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.job import feature_diff
from undertext.jobs.sae_diff.result import FeatureDiff
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.job import train_dictionary
from undertext.measures.features.crosscoder import check_crosscoder
from undertext.measures.features.rule import feature_rule
from undertext.saes import (
    Crosscoder,
    decoder_directions,
    feature_effects,
    latent_scaling,
    load_crosscoder,
    load_sae,
    match_controls,
    relative_norm,
)
from undertext.tasks.grade import grade

CONFIG = DiffConfig(
    effects=2, controls=2, operators=("ablate", "clamp"), effect_problems=10, pages=3, threads=1
)
POINT = HookPoint(0, "resid_pre")


@pytest.fixture(scope="module")
def found(task, folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("diff") / "out"
    result = feature_diff(
        str(folders["base"]), str(folders["tuned"]), task, sae=folders["sae"], config=CONFIG, out=out
    )
    return result, out


def test_fates_are_those_that_were_planted(found):
    result, out = found
    fates = result.tables["features"]["fate"].to_pylist()
    # `*` is not seen any more, `p` is seen where `find` was.
    assert fates == [*["stable"] * 4, "new", "silenced", "silenced", *["stable"] * 3]
    summary = json.loads((out / "result.json").read_text())
    assert summary["fates"] == {"stable": 0.7, "moved": 0, "silenced": 0.2, "new": 0.1}
    assert summary["mean_norm"]["base"] / summary["mean_norm"]["tuned"] == pytest.approx(3, rel=0.2)
    assert summary["scales"]["tuned"] == pytest.approx(
        summary["mean_norm"]["base"] / summary["mean_norm"]["tuned"]
    )
    associated = {row["class"]: row for row in summary["associated"]}
    assert [associated[value]["feature"] for value in "34"] == [0, 1]
    assert associated["3"]["auroc"] == {"base": 1, "tuned": 1}
    for name, table in result.tables.items():
        assert pq.read_table(out / "tables" / f"{name}.parquet").equals(table)
    assert (out / "report.html").read_text().count(">Feature ") == 3
    loaded = FeatureDiff.load(out)
    assert loaded.files() == result.files()
    assert (loaded.effects, loaded.pages) == (result.effects, result.pages)
    assert len(loaded.pages[0].logits) == 2
    assert "matched in size" in loaded._repr_html_()
    assert list(loaded.figures()) == ["association"]


def test_effects_are_those_of_features_changed_one_by_one(found, task, folders):
    result, _ = found
    pair, sae = load_pair(folders["base"], folders["tuned"]), load_sae(folders["sae"])
    rows = result.tables["effects"].to_pylist()
    assert len(rows) == 2 * 2 * 2
    tested = result.summary["most_associated"][:2]
    problems = task.split("test")[:10]
    dev = [f"{p.prompt} {p.trace}" for p in task.split("dev")]
    read = [sae.encode(capture(pair.base, [text], [POINT], "all")[POINT]) for text in dev]
    strengths = torch.cat(read).detach()
    directions = decoder_directions(sae)
    frequency = (strengths > 0).float().mean(dim=0)
    matched = match_controls(directions, frequency, tested, controls=2, seed=31)
    for row in rows:
        f = tested.index(row["feature"])
        scale = result.summary["scales"][row["model"]]
        fired = strengths[:, row["feature"]]
        dose = float(fired[fired > 0].mean() * directions[row["feature"]].norm() / scale)
        assert row["dose"] == (pytest.approx(dose) if row["operator"] == "clamp" else 1)
        expected = feature_effects(
            getattr(pair, row["model"]), [p.prompt for p in problems],
            lambda i, text, cut: grade(task.grader, text, problems[i].answer).lenient,
            matched, POINT, operator=row["operator"], dose=row["dose"], max_new_tokens=3,
        )  # fmt: skip
        plain = float(expected.plain.double().mean())
        assert row["effect"] == pytest.approx(float(expected.changed[f].double().mean()) - plain)
        means = expected.controls[f].double().mean(dim=1)
        assert row["controls"] == pytest.approx((means - plain).tolist())


def test_killed_it_goes_on_and_ends_the_same(found, task, folders, tmp_path, monkeypatch):
    count, whole = 0, feature_effects

    def dying(*args, **kwargs):
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return whole(*args, **kwargs)

    monkeypatch.setattr("undertext.measures.features.effects.feature_effects", dying)

    def run(config=CONFIG):
        pair = str(folders["base"]), str(folders["tuned"])
        return feature_diff(*pair, task, sae=folders["sae"], config=config, out=tmp_path / "out")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "out" / "result.json").exists()
    with pytest.raises(UserError, match=r"another config: config\.seed was"):
        run(CONFIG.model_copy(update={"seed": 5}))
    result = run()
    assert count == 4 + (8 - 3)  # three were recorded
    assert result.summary == found[0].summary
    assert all(table.equals(found[0].tables[name]) for name, table in result.tables.items())
    assert not (tmp_path / "out" / "parts").exists()


@pytest.mark.slow
def test_a_crosscoder_is_sorted_by_norm_and_by_scaling(task, task_folder, folders, tmp_path):
    config = TrainConfig(
        kind="crosscoder",
        layers=(0, 1),
        d_sae=24,
        k=3,
        steps=60,
        batch_size=64,
        held_out=100,
        lr=3e-3,
        threads=1,
    )
    trained = train_dictionary(
        folders["base"],
        folders["tuned"],
        task=task_folder,
        config=config,
        out=tmp_path / "run",
        progress=False,
    )
    assert trained.loss is None
    result = feature_diff(
        folders["base"],
        folders["tuned"],
        task,
        crosscoder=tmp_path / "run" / "sae",
        config=CONFIG,
        out=tmp_path / "out",
    )
    crosscoder, pair = load_crosscoder(tmp_path / "run" / "sae"), load_pair(folders["base"], folders["tuned"])
    texts = [f"{p.prompt} {p.trace}" for p in task.split("test")]
    every = [capture(each, texts, list(crosscoder.points), "all").activations for each in pair]
    assert every[0].shape[0] == 2
    scaling = latent_scaling(crosscoder, [(every[0], every[1])], feature_rule().scaling)
    table = result.tables["latents"].to_pandas()
    assert table.frequency.to_numpy() == pytest.approx(scaling.fired.numpy())
    norm = relative_norm(scaling.norms).numpy()
    assert table.relative_norm.to_numpy() == pytest.approx(norm)
    expected = np.where(norm < 0.1, "base_only", np.where(norm > 0.9, "tuned_only", "shared"))
    assert table.kind_by_norm.tolist() == np.where(scaling.fired > 0, expected, "dead").tolist()
    assert set(table.kind_by_scaling) <= {"base_only", "shared", "tuned_only", "dead"}
    assert sum(result.summary["kinds"]["norm"].values()) == pytest.approx(1)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "relative decoder norm alone" in page
    assert list(result.figures()) == ["latents"]
    assert f"{(table.frequency > 0).sum()} of 24 latents fire." in page  # what the figure shows, in words
    assert table.cosine.to_numpy() == pytest.approx(crosscoder.cosines().numpy(), abs=1e-5)


def test_what_does_not_fit_is_refused(task, folders):
    def run(**changes):
        given = {"sae": folders["sae"], "config": CONFIG} | changes
        return feature_diff(str(folders["base"]), str(folders["tuned"]), task, **given)

    with pytest.raises(UserError, match="an SAE or a crosscoder, got both"):
        run(crosscoder=folders["sae"])
    with pytest.raises(
        UserError, match=r"trained at blocks\.0\.hook_resid_pre, not at blocks\.1\.hook_resid_post"
    ):
        run(config=CONFIG.model_copy(update={"layer": 1}))
    with pytest.raises(UserError, match="got 'test' twice"):
        run(config=CONFIG.model_copy(update={"choose": "test"}))
    with pytest.raises(UserError, match="has no split 'odd'"):
        run(config=CONFIG.model_copy(update={"split": "odd"}))


def test_an_sae_of_the_tuned_model_reads_the_base_at_its_size(found, task, folders):
    config = DiffConfig(trained_on="tuned", effects=0, pages=0, threads=1)
    result = feature_diff(folders["base"], folders["tuned"], task, sae=folders["sae"], config=config)
    norms, scales = result.summary["mean_norm"], result.summary["scales"]
    assert scales == {"base": norms["tuned"] / norms["base"], "tuned": 1}
    # What fires depends on no size here: the SAE's thresholds are zero.
    assert result.tables["features"]["fate"].equals(found[0].tables["features"]["fate"])
    strength = "strength_tuned"
    theirs, ours = (each.tables["features"][strength][0].as_py() for each in (found[0], result))
    assert theirs / ours == pytest.approx(found[0].summary["scales"]["tuned"], rel=1e-5)


def test_a_crosscoder_of_another_model_is_refused(folders):
    pair = load_pair(folders["base"], folders["tuned"])
    parts = (2, 1, 32, 5)
    odd = Crosscoder(
        (HookPoint(1, "resid_post"),), torch.zeros(parts), torch.zeros(5), torch.zeros(5),
        torch.zeros(2, 1, 5, 32), torch.zeros(2, 1, 32), torch.ones(2, 1),
    )  # fmt: skip
    with pytest.raises(UserError, match=r"reads activations of width 32, .* has 64"):
        check_crosscoder(odd, pair)
    with pytest.raises(UserError, match="its layers are 0 to 2"):
        check_crosscoder(replace(odd, points=(HookPoint(9, "resid_post"),)), pair)
    with pytest.raises(UserError, match="does not say at which hook points"):
        check_crosscoder(replace(odd, points=()), pair)
