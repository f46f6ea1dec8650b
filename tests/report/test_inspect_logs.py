"""Logs of inspect: every output is in one, as it was graded, and the same comparison gives the same bytes.

inspect-ai cannot be installed beside the other extras (`undertext.tasks.importers.inspect_log`): what it asks
of a log is written down here, field by field, from what its own version 0.3.285 reads.
"""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from undertext import UserError, from_inspect, to_inspect

EVAL = {"eval_id", "run_id", "created", "task", "task_id", "dataset", "model", "config"}
SAMPLE = {"id", "epoch", "input", "target", "messages", "output", "scores", "metadata"}


def test_every_output_is_in_a_log_as_it_was_graded(comparison, tmp_path):
    files = to_inspect(comparison, tmp_path / "logs")
    rows = comparison.tables["problems"].to_pylist()
    wanted = {
        (row["split"], who, row["id"]): (row[f"{who}_output"], row[f"{who}_lenient"])
        for row in rows
        for who in ("base", "tuned", "steered")
        if row[f"{who}_output"] is not None
    }
    found = {}
    for file in files:
        log = json.loads(file.read_text())
        split, who = file.stem.rsplit("-", 1)
        assert log["version"] == 2
        assert log["status"] == "success"
        assert set(log["eval"]) >= EVAL
        assert log["eval"]["dataset"]["sample_ids"] == [sample["id"] for sample in log["samples"]]
        for sample in log["samples"]:
            assert set(sample) >= SAMPLE
            (choice,) = sample["output"]["choices"]
            text = choice["message"]["content"]
            assert text == sample["output"]["completion"] == sample["messages"][-1]["content"]
            (score,) = sample["scores"].values()
            found[split, who, sample["id"]] = (text, score["value"] == "C")
        (scored,) = log["results"]["scores"]
        own = [right for (s, w, _), (_, right) in found.items() if (s, w) == (split, who)]
        assert scored["metrics"]["accuracy"]["value"] == sum(own) / len(own)
    assert found == wanted


def test_what_is_written_is_read_back_as_a_task(comparison, tmp_path):
    (file,) = [each for each in to_inspect(comparison, tmp_path) if each.name == "test-base.json"]
    imported = from_inspect(file)
    rows = {row["id"]: row for row in comparison.tables["problems"].to_pylist() if row["split"] == "test"}
    assert {each.id: (each.prompt, each.answer) for each in imported.task.problems} == {
        id: (row["prompt"], row["answer"]) for id, row in rows.items()
    }
    assert {each["id"]: each["output"] for each in imported.outputs} == {
        id: row["base_output"] for id, row in rows.items() if row["base_output"]
    }


def test_the_same_comparison_gives_the_same_bytes(comparison, tmp_path):
    one, other = (to_inspect(comparison, tmp_path / name) for name in ("one", "other"))
    assert [each.read_bytes() for each in one] == [each.read_bytes() for each in other]


def test_a_folder_that_cannot_be_written_is_named(comparison, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="file: cannot be written"):
        to_inspect(comparison, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_comparison_without_outputs_says_so(comparison, tmp_path):
    empty = pa.Table.from_pylist([], schema=comparison.tables["problems"].schema)
    bare = replace(comparison, tables={**comparison.tables, "problems": empty})
    with pytest.raises(UserError, match="holds no outputs"):
        to_inspect(bare, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
