"""`steer` on a task written by hand: what it returns and writes, called again, and with vectors given."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from tests.toys import save_folder
from undertext import SteerConfig, Steered, steer
from undertext.activations import Checkpoint, UserError
from undertext.jobs.steer.command import run
from undertext.steering import SteeringVector, save_vector

QUICK = SteerConfig(
    doses=(1.0, 4.0),
    random_directions=2,
    search_problems=8,
    vector_problems=16,
    search="halving",
    operators=("add", "ablate"),
    threads=1,
)
GIVEN = SteeringVector(
    "a feature", torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.ones(2), "made up"
)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_by_hand(tmp_path_factory.mktemp("sums") / "task", plain_problems(), 4)


@pytest.fixture(scope="module")
def pair() -> tuple[Checkpoint, Checkpoint]:
    tokenizer = tokenizer_for(plain_problems())
    models = blank(tokenizer, 0), learnt(plain_problems(), tokenizer)
    weaker, able = (Checkpoint.load(each, tokenizer=tokenizer) for each in models)
    return weaker, able


@pytest.fixture(scope="module")
def steered(task, pair, tmp_path_factory) -> tuple[Steered, Path]:
    out = tmp_path_factory.mktemp("steer") / "out"
    return steer(pair[0], task, stronger=pair[1], vectors=[GIVEN], config=QUICK, out=out, progress=False), out


def test_every_vector_and_control_went_through_the_same_search(steered):
    found, _ = steered
    swept = found.tables["sweep"].to_pylist()
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
    found, out = steered
    written = json.loads((out / "steering.json").read_text())
    rows = pq.read_table(out / "tables" / "recovery.parquet").to_pylist()
    assert rows == found.tables["recovery"].to_pylist()
    for row in rows:
        each = found.splits["test"][row["vector"]]
        assert row["accuracy"] == each.lenient.value
        assert row["recovered"] == (None if each.gap is None else each.gap.value)
        assert written["splits"]["test"][row["vector"]]["lenient"]["value"] == row["accuracy"]
        effect = found.side_effects[row["vector"]]
        assert row["kl"] == (None if effect is None else effect.divergence)
    assert found.accuracy["test"]["stronger"].value > 0.9
    assert found.splits["test"]["a feature"].oracle == "stronger's activations"  # not known to know less
    assert {path.name for path in (out / "figures").iterdir()} == {"doses.svg", "doses.png"}


def test_called_again_nothing_is_run_twice(steered, task, pair, monkeypatch):
    found, out = steered

    def generate(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a row that was kept is written again")

    monkeypatch.setattr(undertext.steering.sweep_runner, "generate", generate)
    again = steer(pair[0], task, stronger=pair[1], vectors=[GIVEN], config=QUICK, out=out, progress=False)
    assert again.to_dict() == found.to_dict()


def test_a_folder_of_another_job_is_refused(steered, task, pair):
    _, out = steered
    other = QUICK.model_copy(update={"doses": (2.0,)})
    with pytest.raises(UserError, match="keeps another sweep"):
        steer(pair[0], task, stronger=pair[1], vectors=[GIVEN], config=other, out=out, progress=False)


def test_names_that_are_taken_are_refused(task, pair):
    for name in ("checkpoint delta", "random 9"):
        vector = SteeringVector(name, GIVEN.directions, GIVEN.norms, "made up")
        with pytest.raises(UserError, match="choose another name"):
            steer(pair[0], task, stronger=pair[1], vectors=[vector], config=QUICK, progress=False)


def test_the_command_needs_no_stronger_checkpoint(task, pair, tmp_path, capsys):
    tokenizer = tokenizer_for(plain_problems())
    folder = save_folder(tmp_path / "weaker", pair[0].model, tokenizer)
    save_vector(GIVEN, tmp_path / "a.safetensors")
    paths = {
        "checkpoint": folder,
        "task": task,
        "out": tmp_path / "out",
        "vectors": tmp_path / "a.safetensors",
    }
    options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    options += ["--search-problems", "4", "--doses", "1", "--random-directions", "1"]
    assert run(options) == 0
    said = capsys.readouterr().out
    assert "no gap to recover; difference" in said
    rows = pq.read_table(tmp_path / "out" / "tables" / "recovery.parquet").to_pylist()
    assert {row["recovered"] for row in rows} == {None}
    assert "checkpoint delta" not in {row["vector"] for row in rows}
    assert "a feature" in {row["vector"] for row in rows}
    with pytest.raises(UserError, match="expected --checkpoint, --task"):
        run([])
