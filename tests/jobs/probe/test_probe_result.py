"""The result of a probing job: its short form, its files, its page, and the same after loading."""

import pytest

from tests.reading_task import CONFIG, rows_of
from undertext import ProbeResult, UserError, probe

HERE = CONFIG.model_copy(
    update={
        "positions": (0, 1), "controls": ("control", "surface"), "draws": 1,
        "transfer": ("checkpoint", "layer", "position"),
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def result(pair, task) -> ProbeResult:
    return probe(pair, {"made": task}, config=HERE)


@pytest.fixture(scope="module")
def page(result) -> str:
    return result.files()["report.html"].decode()


def test_readings_are_the_chosen_rows_beside_their_controls(result):
    probes = result.tables["probes"]
    own = rows_of(probes, control="none", chosen=True, split="test")
    assert len(result.readings) == 2 * 2 * 2
    for reading in result.readings:
        at = {name: getattr(reading, name) for name in ("checkpoint", "value", "position", "split")}
        (row,) = rows_of(probes, **at, fitted_on=reading.checkpoint, control="none", chosen=True)
        assert row in own
        assert (reading.layer, reading.accuracy) == (row["layer"], row["accuracy"])
        assert reading.selectivity == row["selectivity"]
        for control, accuracy in reading.controls.items():
            (beside,) = rows_of(probes, **at, control=control, chosen=True)
            assert beside["accuracy"] == accuracy
        assert list(reading.controls) == ["control", "surface"]
    for moved in result.transported:
        assert {moved.checkpoint, moved.fitted_on} == {"base", "tuned"}
        (of_source,) = (
            r
            for r in result.readings
            if (r.checkpoint, r.value, r.position) == (moved.fitted_on, moved.value, moved.position)
        )
        assert moved.layer == of_source.layer
    assert len(result.transported) == len(result.readings)


@pytest.mark.slow
def test_it_writes_its_files_and_loads_again_alike(result, tmp_path):
    result.save(tmp_path / "out")
    again = ProbeResult.load(tmp_path / "out")
    assert again.files() == result.files()
    assert again.readings == result.readings
    assert again._repr_html_() == result._repr_html_()
    assert sorted(again.files()) == [
        "figures/heatmap-made.pdf", "figures/heatmap-made.png", "figures/heatmap-made.svg",
        "report.html", "result.json", "run.json",
        "tables/probes.parquet", "tables/transfer.parquet",
    ]  # fmt: skip
    assert len(again.table("probes")) == len(result.tables["probes"])
    assert again.figure("heatmap-made").axes
    with pytest.raises(UserError, match="there are: heatmap-made"):
        again.figure("doses")
    assert repr(again) == repr(result)


@pytest.mark.slow
def test_every_checkpoint_is_drawn(pair, task):
    plain = HERE.model_copy(update={"positions": (1,), "controls": (), "transfer": (), "transport": ()})
    three = {"one": pair["base"], "two": pair["tuned"], "three": pair["base"]}
    result = probe(three, {"made": task}, config=plain)
    assert list(result.figures()) == ["heatmap-made-two", "heatmap-made-three"]
    page = result.files()["report.html"].decode()
    for names in ("one and two", "one and three"):
        assert f"Layer by position: made, {names}" in page
    assert list(probe({"one": pair["base"]}, {"made": task}, config=plain).figures()) == ["heatmap-made"]


def test_prompts_that_are_fitted_on_too_are_said(result, page):
    assert result.summary["notes"] == ["made: 40 of 40 prompts in 'test' stand in train or dev as well"]
    assert any("40 of 40 prompts" in line for line in result.lines())
    assert "40 of 40 prompts" in page


def test_the_page_shows_every_reading_and_transfer(result, page):
    for heading in (
        "Readings: made", "Layer by position: made", "Transported", "Transfer across checkpoints",
        "Transfer across layers", "Transfer across positions", "How it was measured",
    ):  # fmt: skip
        assert heading in page
    for reading in result.readings:
        assert f"{reading.accuracy:.2f}" in page


def test_a_job_of_dev_alone_is_shown_on_dev(pair, task):
    config = HERE.model_copy(update={"splits": ("dev",), "transfer": ()})
    result = probe({"base": pair["base"]}, {"made": task}, config=config)
    assert {reading.split for reading in result.readings} == {"dev"}
    assert "Transported" not in result.files()["report.html"].decode()
