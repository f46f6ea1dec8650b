"""The columns `mdl` and `erased`, against the wing's functions on rows gathered by hand."""

import pytest
import torch

from tests.reading_task import CONFIG, by_hand, rows_of
from undertext.jobs.probe.job import probe
from undertext.jobs.probe.result import ProbeResult
from undertext.probes import Labelled, fit_select, leace, online_code

EXTRAS = CONFIG.model_copy(
    update={
        "positions": (1,), "controls": ("control",), "draws": 1, "probes": ("logistic", "lda"),
        "measures": ("mdl", "leace"),
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def result(pair, task) -> ProbeResult:
    return probe({"base": pair["base"]}, {"made": task}, config=EXTRAS)


def test_mdl_is_the_online_code_of_train_in_bits_a_row(result, pair, task):
    X, y = by_hand(pair["base"], task, "train", 1)
    code = online_code(Labelled(X, y), classes=range(3), Cs=CONFIG.strengths, seed=16)
    for split in ("dev", "test"):
        rows = rows_of(result.tables["probes"], value="a", control="none", probe="logistic", split=split)
        assert [row["mdl"] for row in rows] == pytest.approx((code.length / len(y)).tolist(), rel=1e-3)
        control = rows_of(
            result.tables["probes"], value="a", control="control", probe="logistic", split=split
        )
        # What was just said is in the token itself; a random label for each text has to be learnt.
        for row, drawn in zip(rows, control, strict=True):
            assert row["mdl"] < drawn["mdl"]
    assert {row["mdl"] for row in rows_of(result.tables["probes"], probe="lda")} == {None}


def test_erased_is_a_fresh_probe_after_leace(result, pair, task):
    sets = {split: by_hand(pair["base"], task, split, 1) for split in ("train", "dev", "test")}
    eraser = leace(*sets["train"])
    (X, y), (X_dev, y_dev), (X_test, y_test) = (
        (eraser.apply(activations), labels) for activations, labels in sets.values()
    )
    fresh = fit_select(X, y, X_dev, y_dev, strengths=CONFIG.strengths)
    wanted = fresh.correct(X_test, y_test).double().mean(1)
    rows = rows_of(result.tables["probes"], value="a", control="none", probe="logistic", split="test")
    assert [row["accuracy"] for row in rows] == [1.0, 1.0]
    assert [row["erased"] for row in rows] == pytest.approx(wanted.tolist(), abs=0.026)
    assert all(row["erased"] < 0.75 for row in rows)
    assert all(row["erased"] is not None for row in rows_of(result.tables["probes"], control="none"))
    assert {row["erased"] for row in rows_of(result.tables["probes"], control="control")} == {None}


def test_they_change_nothing_else_and_are_off_by_default(result, pair, task):
    plain = probe(
        {"base": pair["base"]}, {"made": task}, config=EXTRAS.model_copy(update={"measures": ()})
    ).tables["probes"]
    assert set(plain["mdl"].to_pylist()) == set(plain["erased"].to_pylist()) == {None}
    columns = [name for name in plain.column_names if name not in ("mdl", "erased")]
    assert plain.select(columns).equals(result.tables["probes"].select(columns))
    reading = result.readings[0]
    assert (reading.mdl is None, reading.erased is None) == (False, False)


def test_activations_that_do_not_vary_are_left_as_they_are(pair, task):
    """Before the first block the prompt's last token is the same in every problem."""
    at_start = {"site": "resid_pre", "layers": (0,), "positions": ("prompt_end",), "probes": ("logistic",)}
    config = EXTRAS.model_copy(update=at_start)
    table = probe({"base": pair["base"]}, {"made": task}, config=config).tables["probes"]
    for row in rows_of(table, control="none"):
        assert row["erased"] == row["accuracy"]
    assert torch.isfinite(torch.tensor([row["accuracy"] for row in table.to_pylist()])).all()
