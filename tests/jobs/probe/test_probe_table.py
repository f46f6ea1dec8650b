"""The table of a job: its shape, and each figure against the pieces it is made of."""

import re
from pathlib import Path

import pytest
import torch

from tests.reading_task import CONFIG, by_hand, made_task, rows_of
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError
from undertext.activations.random_init import random_init
from undertext.jobs.probe.config import ProbeConfig
from undertext.jobs.probe.job import probe
from undertext.jobs.probe.result import ProbeResult
from undertext.measures.decoding.controls import control_targets
from undertext.measures.decoding.table import PROBES
from undertext.probes import Labelled, LDAProbe, MeansProbe, fit_select, shuffled_draws
from undertext.tasks.value_positions import reading_text


@pytest.fixture(scope="module")
def result(pair, task) -> ProbeResult:
    return probe(pair, {"made": task}, config=CONFIG)


@pytest.mark.slow
def test_a_row_for_each_of_everything(result):
    table = result.tables["probes"]
    assert table.schema == PROBES
    keys = [
        tuple(row[c] for c in ("checkpoint", "fitted_on", "split", "value", "position", "layer", "control"))
        for row in table.to_pylist()
    ]
    assert len(set(keys)) == len(keys)
    values = {"prompt_end": {"answer", "b"}, "-1": {"a", "b"}, "0": {"a", "b"}, "1": {"a", "b"}}
    for position, names in values.items():
        for checkpoint in ("base", "tuned"):
            for name in names:
                for split in ("dev", "test"):
                    at = {"checkpoint": checkpoint, "position": position, "value": name, "split": split}
                    own = rows_of(table, **at, fitted_on=checkpoint)
                    of_text = [
                        (r["control"], r["layer"]) for r in own if r["control"] in ("surface", "window")
                    ]
                    found = sorted({(r["control"], r["layer"]) for r in own} - set(of_text))
                    controls = ("control", "none", "random_init", "shuffled")
                    assert found == [(control, layer) for control in controls for layer in (0, 2)]
                    assert of_text == [("surface", None), ("window", None)]
                    other = "tuned" if checkpoint == "base" else "base"
                    moved = rows_of(table, **at, fitted_on=other)
                    assert [(r["control"], r["layer"]) for r in moved] == [("none", 0), ("none", 2)]
    assert len(table) == 2 * 8 * 2 * (4 * 2 + 2 + 2)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_accuracy_is_that_of_probes_fitted_by_hand(result, pair, task, offset):
    for name, checkpoint in pair.items():
        X, y = by_hand(checkpoint, task, "train", offset)
        X_dev, y_dev = by_hand(checkpoint, task, "dev", offset)
        X_test, y_test = by_hand(checkpoint, task, "test", offset)
        found = fit_select(X, y, X_dev, y_dev, strengths=CONFIG.strengths)
        expected = found.correct(X_test, y_test).double().mean(1)
        at = {"checkpoint": name, "position": str(offset), "value": "a", "split": "test"}
        rows = rows_of(result.tables["probes"], **at, fitted_on=name, control="none")
        assert [row["accuracy"] for row in rows] == pytest.approx(expected.tolist(), abs=0.026)
        assert [row["strength"] for row in rows] == pytest.approx(found.strengths.tolist())
        assert [row["chosen"] for row in rows] == [found.layer == 0, found.layer == 1]
        assert all(row["n"] == 40 and row["classes"] == 3 for row in rows)
        commonest = y.bincount().argmax()
        assert rows[0]["baseline"] == pytest.approx(float((y_test == commonest).double().mean()))
        other = next(each for each in pair if each != name)
        across = found.correct(by_hand(pair[other], task, "test", offset)[0], y_test).double().mean(1)
        moved = rows_of(result.tables["probes"], **(at | {"checkpoint": other}), fitted_on=name)
        assert [row["accuracy"] for row in moved] == pytest.approx(across.tolist(), abs=0.026)


@pytest.mark.slow
def test_what_was_just_said_reads_and_controls_are_what_they_say(result, pair, task):
    at = {"checkpoint": "base", "fitted_on": "base", "value": "a", "split": "test"}
    said = rows_of(result.tables["probes"], **at, position="1", control="none")
    assert all(row["accuracy"] == 1.0 for row in said)
    shuffled = rows_of(result.tables["probes"], **at, position="1", control="shuffled")
    assert all(row["accuracy"] < 0.75 for row in shuffled)
    (surface,) = rows_of(result.tables["probes"], **at, position="1", control="surface")
    assert (surface["accuracy"], surface["hook"], surface["chosen"]) == (1.0, None, True)
    (window,) = rows_of(result.tables["probes"], **at, position="1", control="window")
    assert (window["accuracy"], window["hook"], window["chosen"]) == (1.0, None, True)
    for row in rows_of(result.tables["probes"], **at, control="none"):
        (control,) = rows_of(
            result.tables["probes"], **at, position=row["position"], layer=row["layer"], control="control"
        )
        assert row["selectivity"] == pytest.approx(row["accuracy"] - control["accuracy"])
        assert control["selectivity"] is None
    blank = random_init(pair["base"], seed=11)
    X, y = by_hand(blank, task, "train", 0)
    found = fit_select(X, y, *by_hand(blank, task, "dev", 0), strengths=CONFIG.strengths)
    expected = found.correct(*by_hand(blank, task, "test", 0)).double().mean(1)
    rows = rows_of(result.tables["probes"], **at, position="0", control="random_init")
    assert [row["accuracy"] for row in rows] == pytest.approx(expected.tolist(), abs=0.026)


def test_other_kinds_of_probe(pair, task):
    config = CONFIG.model_copy(update={"probes": ("means", "lda"), "controls": (), "positions": (1,)})
    table = probe({"base": pair["base"]}, {"made": task}, config=config).tables["probes"]
    assert set(table["control"].to_pylist()) == {"none"}
    assert set(table["strength"].to_pylist()) == set(table["selectivity"].to_pylist()) == {None}
    X, y = by_hand(pair["base"], task, "train", 1)
    test = by_hand(pair["base"], task, "test", 1)
    for name, made in (("means", MeansProbe()), ("lda", LDAProbe())):
        expected = made.fit(X, y).score(*test)
        rows = rows_of(table, probe=name, value="a", split="test")
        assert [row["accuracy"] for row in rows] == pytest.approx(expected.tolist(), abs=0.026)


@pytest.mark.slow
def test_the_same_job_gives_the_same_table_and_another_seed_other_controls(pair, task):
    config = CONFIG.model_copy(update={"positions": (0,), "layers": (2,)})
    one, again, other = (
        probe({"base": pair["base"]}, {"made": task}, config=config.model_copy(update={"seed": seed})).tables[
            "probes"
        ]
        for seed in (0, 0, 1)
    )
    assert again.equals(one)
    same = {"control": "none"}, {"control": "surface"}
    for each in same:
        figures = [[row["accuracy"] for row in rows_of(table, **each)] for table in (one, other)]
        assert figures[0] == figures[1]
    drawn = [
        [row["accuracy"] for row in rows_of(table) if row["control"] in ("control", "shuffled")]
        for table in (one, other)
    ]
    assert drawn[0] != drawn[1]


def test_a_value_that_a_split_lacks_and_checkpoints_of_two_models(pair):
    tokenizer = word_tokenizer()
    wider = Checkpoint.load(tiny_model("gpt2", len(tokenizer), d_model=64), tokenizer=tokenizer)
    task = made_task(ood=30)
    bare = [p.model_copy(update={"steps": [], "values": {}}) for p in task.split("ood")]
    kept = [p for p in task.problems if p.split != "ood"]
    task = task.model_copy(update={"problems": [*kept, *bare]})
    config = CONFIG.model_copy(update={"positions": (0,), "controls": ("control", "surface")})
    table = probe({"base": pair["base"], "wider": wider}, {"made": task}, config=config).tables["probes"]
    assert all(row["checkpoint"] == row["fitted_on"] for row in table.to_pylist())
    assert set(table["split"].to_pylist()) == {"dev", "test"}


def test_pairs_asked_for(pair, task):
    config = CONFIG.model_copy(update={"positions": (1,), "controls": (), "transport": (("tuned", "base"),)})
    table = probe(pair, {"made": task}, config=config).tables["probes"]
    moved = {
        (r["fitted_on"], r["checkpoint"]) for r in table.to_pylist() if r["checkpoint"] != r["fitted_on"]
    }
    assert moved == {("tuned", "base")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": (3,)}, "layers from 0 to 2"),
        ({"site": "resid_mid", "layers": (9,)}, "layers from 0 to 2"),
        ({"splits": ("odd",)}, "no split 'odd'"),
        ({"transport": (("base", "nobody"),)}, "'nobody'; there are: base, tuned"),
        ({"transport": (("base", "base"),)}, "'base' twice"),
        ({"positions": (400,)}, "no value can be read at 400"),
    ],
)
def test_mistakes(pair, task, changes, said, tmp_path):
    with pytest.raises(UserError, match=said):
        probe(pair, {"made": task}, config=CONFIG.model_copy(update=changes), out=tmp_path / "out")


def test_names_and_nothing(pair, task):
    with pytest.raises(UserError, match="checkpoint or more"):
        probe({}, {"made": task})
    with pytest.raises(UserError, match="task or more"):
        probe(pair, {})
    for bad in ("a/b", "", "..", "a b"):
        with pytest.raises(UserError, match="letters, digits"):
            probe({bad: pair["base"]}, {"made": task})


def test_every_column_and_control_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "probes.md").read_text()
    text = text.split("## The table")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert documented == [*PROBES.names, *ProbeConfig().controls]


def test_control_and_shuffled_labels_are_the_mean_over_draws(pair, task):
    config = CONFIG.model_copy(update={"positions": (0,), "layers": (2,), "probes": ("lda",), "draws": 4})
    config = config.model_copy(update={"controls": ("control", "shuffled")})
    table = probe({"base": pair["base"]}, {"made": task}, config=config).tables["probes"]
    X, y = {}, {}
    for split in ("train", "dev", "test"):
        both, y[split] = by_hand(pair["base"], task, split, 0)
        X[split] = both[1:]
    texts = {
        split: [ids[:14] for ids in pair["base"].encode([reading_text(p) for p in task.split(split)])]
        for split in X
    }
    seeds = range(12_000, 12_004)
    drawn = control_targets(texts, y["train"], 3, seeds=seeds)
    right = [LDAProbe().fit(X["train"], d["train"]).score(X["test"], d["test"]) for d in drawn]
    (row,) = rows_of(table, control="control", value="a", split="test")
    assert row["accuracy"] == pytest.approx(float(torch.stack(right).mean()), abs=0.007)
    assert row["strength"] is None
    mixed = shuffled_draws(Labelled(X["train"], y["train"]), seeds=range(13_000, 13_004))[:, 0]
    right = [LDAProbe().fit(X["train"], d).score(X["test"], y["test"]) for d in mixed.T]
    (row,) = rows_of(table, control="shuffled", value="a", split="test")
    assert row["accuracy"] == pytest.approx(float(torch.stack(right).mean()), abs=0.007)
