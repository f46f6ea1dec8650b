"""`steer` on a task written by hand: what it returns and writes, stopped on its way, with vectors given."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.made_up_sae import LAYER, sae_of
from tests.sums import plain_problems, write_by_hand
from tests.toys import save_folder
from undertext import SteerConfig, SteerResult, steer
from undertext.activations import UserError
from undertext.jobs.steer.command import run
from undertext.measures.recovery import parts
from undertext.steering import SteeringVector, export_gguf, import_gguf, load_vector, save_vector

QUICK = SteerConfig(
    doses=(1.0, 4.0),
    random_directions=2,
    search_problems=8,
    vector_problems=16,
    search="halving",
    operators=("add", "ablate"),
    threads=1,
)
SMALL = SteerConfig(doses=(1.0,), random_directions=1, search_problems=4, vector_problems=8, threads=1)


@pytest.fixture(scope="module")
def steered(sums, sums_pair, given_vector, tmp_path_factory) -> tuple[SteerResult, Path]:
    out = tmp_path_factory.mktemp("steer") / "out"
    result = steer(
        sums_pair.base,
        sums,
        stronger=sums_pair.tuned,
        vectors=[given_vector],
        config=QUICK,
        out=out,
        progress=False,
    )
    return result, out


def test_every_vector_and_control_went_through_the_same_search(steered):
    result, _ = steered
    swept = result.tables["sweep"].to_pylist()
    budgets: dict[str, int] = {}
    for row in swept:
        budgets[row["vector"]] = budgets.get(row["vector"], 0) + 1
    assert set(budgets.values()) == {2 * 2 * 2 * 2}  # layers, doses, positions, operators
    assert {"a feature", "elsewhere: a feature", "shuffled: checkpoint delta"} <= set(budgets)
    seen: dict[str, int] = {}
    for row in swept:  # halving spends as many problems on each
        seen[row["vector"]] = seen.get(row["vector"], 0) + row["problems"]
    assert len(set(seen.values())) == 1
    assert max(seen.values()) < 16 * QUICK.search_problems
    assert {row["vector"] for row in swept if row["chosen"]} == set(budgets)


def test_what_was_recovered_stands_in_result_table_and_file(steered):
    result, out = steered
    written = json.loads((out / "result.json").read_text())
    rows = pq.read_table(out / "tables" / "recovery.parquet").to_pylist()
    assert rows == result.tables["recovery"].to_pylist()
    for row in rows:
        each = result.splits["test"][row["vector"]]
        assert row["accuracy"] == each.lenient.value
        assert row["recovered"] == (None if each.gap is None else each.gap.value)
        assert written["splits"]["test"][row["vector"]]["lenient"]["value"] == row["accuracy"]
        effect = result.side_effects[row["vector"]]
        assert row["kl"] == (None if effect is None else effect.divergence)
    assert result.accuracy["test"]["stronger"].value > 0.9
    assert result.splits["test"]["a feature"].access == "stronger's activations"  # not known to know less
    assert {path.name for path in (out / "figures").iterdir()} == {"doses.svg", "doses.png", "doses.pdf"}
    assert {path.name for path in out.iterdir()} == {
        "result.json", "run.json", "report.html", "tables", "figures",
    }  # fmt: skip


def test_a_loaded_result_is_the_result(steered):
    result, out = steered
    loaded = SteerResult.load(out)
    assert loaded.splits == result.splits
    assert loaded.side_effects == result.side_effects
    assert (
        loaded.files()
        == result.files()
        == {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    )
    assert loaded.table("recovery").vector.tolist() == list(result.splits["test"])
    assert result.best_vector in loaded._repr_html_()


def test_the_page_says_what_was_found_and_how(steered):
    result, out = steered
    page = (out / "report.html").read_text()
    best = result.splits["test"][result.best_vector]
    for said in (
        "Recovered on test", "Side effects", "accuracy over random directions", "a feature",
        "search_problems", f"dose {best.dose:g}", "data:image/svg+xml",
    ):  # fmt: skip
        assert said in page
    assert "{{" not in page


def test_stopped_after_the_search_it_goes_on_from_the_search(
    steered, sums, sums_pair, given_vector, tmp_path, monkeypatch
):
    def stopped(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    def again(config: SteerConfig = QUICK) -> SteerResult:
        return steer(
            sums_pair.base,
            sums,
            stronger=sums_pair.tuned,
            vectors=[given_vector],
            config=config,
            out=tmp_path / "out",
            progress=False,
        )

    with monkeypatch.context() as patch:
        patch.setattr(parts, "recover", stopped)
        with pytest.raises(KeyboardInterrupt):
            again()
    with pytest.raises(UserError, match=r"unfinished job of another config: config\.doses was"):
        again(QUICK.model_copy(update={"doses": (2.0,)}))
    monkeypatch.setattr(parts, "search", stopped)
    monkeypatch.setattr(parts, "candidate_vectors", stopped)
    result = again(QUICK.model_copy(update={"batch_size": 16}))  # which is no part of what a job is
    assert result.summary == steered[0].summary
    assert all(result.tables[name].equals(steered[0].tables[name]) for name in result.tables)
    assert not (tmp_path / "out" / "parts").exists()


def test_names_that_are_taken_are_refused(sums, sums_pair, given_vector):
    for name in ("checkpoint delta", "random 9"):
        vector = SteeringVector(name, given_vector.directions, given_vector.norms, "made up")
        with pytest.raises(UserError, match="choose another name"):
            steer(
                sums_pair.base, sums, stronger=sums_pair.tuned, vectors=[vector], config=QUICK, progress=False
            )


def test_the_command_needs_no_stronger_checkpoint(sums, sums_pair, given_vector, tmp_path, capsys):
    folder = save_folder(tmp_path / "weaker", sums_pair.base.model, sums_pair.base.tokenizer)
    save_vector(given_vector, tmp_path / "a.safetensors")
    options = {
        "checkpoint": folder, "task": sums, "out": tmp_path / "out", "vectors": tmp_path / "a.safetensors",
        "search-problems": 4, "doses": 1, "random-directions": 1,
    }  # fmt: skip
    assert run([str(part) for name, value in options.items() for part in (f"--{name}", value)]) == 0
    said = capsys.readouterr().out
    assert "no gap to recover; difference" in said
    rows = pq.read_table(tmp_path / "out" / "tables" / "recovery.parquet").to_pylist()
    assert {row["recovered"] for row in rows} == {None}
    assert "checkpoint delta" not in {row["vector"] for row in rows}
    assert "a feature" in {row["vector"] for row in rows}
    with pytest.raises(UserError, match="expected --checkpoint, --task"):
        run([])


def test_features_of_an_sae_stand_beside_random_features(sums_pair, tmp_path):
    traced = [problem | {"trace": str(problem["answer"])} for problem in plain_problems()]
    task = write_by_hand(tmp_path / "task", traced, 4)
    sae_of(sums_pair.base, width=64).save_model(tmp_path / "sae")
    config = SMALL.model_copy(update={"sae": tmp_path / "sae", "sae_features": 1, "random_features": 2})
    result = steer(sums_pair.base, task, stronger=sums_pair.tuned, config=config, progress=False)
    estimates = result.splits["test"]
    features = [name for name in estimates if name.startswith("feature ")]
    assert features, result.notes
    for name in features:
        assert estimates[name].layer == LAYER
        assert estimates[name].access == "weaker only"
        assert estimates[name].excess["random features"].control.startswith("like feature ")
    for row in result.tables["recovery"].to_pylist():
        over = row["over_random_features_accuracy"]
        assert (over is None) == (row["control"] == "random features")
        assert over is None or math.isfinite(over)


def test_the_best_vector_is_written_for_llama_cpp(sums, sums_pair, tmp_path):
    config = SMALL.model_copy(update={"export": "gguf", "layers": (1,)})
    result = steer(sums_pair.base, sums, config=config, out=tmp_path / "out", progress=False)
    best = result.splits["test"][result.shown]
    read = import_gguf(tmp_path / "out" / "vector.gguf", n_layers=2, d_model=64)
    assert (read.name, read.layers) == (best.vector, (1,))
    assert any("vector.gguf holds" in note for note in result.notes)
    with pytest.raises(UserError, match="export needs a folder"):
        steer(sums_pair.base, sums, config=config, progress=False)


def test_the_best_vector_is_written_for_anything_that_reads_safetensors(sums, sums_pair, tmp_path):
    config = SMALL.model_copy(update={"export": "safetensors", "layers": (1,)})
    result = steer(sums_pair.base, sums, config=config, out=tmp_path / "out", progress=False)
    best = result.splits["test"][result.shown]
    read = load_vector(tmp_path / "out" / "vector.safetensors")
    assert read.name == best.vector
    assert (tmp_path / "out" / "vector.md").is_file()
    (note,) = [each for each in result.notes if each.startswith("vector.safetensors holds")]
    assert f"layer {best.layer}, dose {best.dose:g}, add at " in note
    # It goes through the search again, as what it is.
    again = steer(sums_pair.base, sums, vectors=[replace(read, name="again")], config=SMALL, progress=False)
    assert "again" in again.splits["test"]


def test_what_llama_cpp_has_no_place_for_is_a_note(sums, sums_pair, tmp_path):
    config = SMALL.model_copy(update={"export": "gguf", "layers": (0,)})
    result = steer(sums_pair.base, sums, config=config, out=tmp_path / "out", progress=False)
    assert any("not written: llama.cpp has no place" in note for note in result.notes)
    assert not (tmp_path / "out" / "vector.gguf").exists()


def test_a_control_vector_of_llama_cpp_is_steered_with(sums, sums_pair, given_vector, tmp_path):
    export_gguf(given_vector, tmp_path / "a.gguf", model_type="llama")
    result = steer(sums_pair.base, sums, vectors=[tmp_path / "a.gguf"], config=SMALL, progress=False)
    assert result.splits["test"]["a feature"].layer == 1


def test_without_the_package_gguf_nothing_is_begun(sums, sums_pair, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    config = SMALL.model_copy(update={"export": "gguf"})
    with pytest.raises(UserError, match=r"pip install -e '\.\[gguf\]'"):
        steer(sums_pair.base, sums, config=config, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
