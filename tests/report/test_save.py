import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.report.made_up import FIGURES
from undertext.activations.errors import UserError
from undertext.core.output import json_bytes
from undertext.jobs.compare import report as module
from undertext.jobs.compare.result import SCHEMA, Comparison

ESTIMATE = {"value", "low", "high", "n", "level"}


def test_verdict_has_the_keys_of_its_schema_and_no_others(rendered):
    verdict = json.loads(rendered["verdict.json"])
    assert set(verdict) == {
        "run",
        "schema",
        "base",
        "tuned",
        "task",
        "read",
        "seed",
        "splits",
        "sae",
        "crosscoder",
    }
    assert verdict["schema"] == SCHEMA
    assert list(verdict["splits"]) == ["test", "ood"]
    for split in verdict["splits"].values():
        assert set(split) == {
            "verdict", "confidence", "stability", "weaker", "accuracy", "evidence", "flags",
            "latent", "opened", "smallest_detectable_difference", "unfinished", "withstood",
        }  # fmt: skip
        assert set(split["accuracy"]) == {"base", "tuned", "difference"}
        for line in split["evidence"]:
            assert set(line) == {"name", "says", "estimate", "null", "p", "access", "note", "share"}
        estimates = [*split["accuracy"].values()]
        estimates += [line[which] for line in split["evidence"] for which in ("estimate", "null")]
        assert all(set(estimate) == ESTIMATE for estimate in estimates)


def test_what_is_no_finite_number_becomes_null(rendered):
    texts = [rendered[name] for name in ("verdict.json", "run.json")]
    verdict, run = (json.loads(text, parse_constant=lambda name: pytest.fail(name)) for text in texts)
    assert verdict["splits"]["test"]["evidence"][-1]["null"]["high"] is None
    assert run["config"]["steering"] == {"doses": [0.5, 1, 2, 4, 8], "tolerance": None}
    numpy = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": np.bool_(True),
        "d": np.float64("-inf"),
        "e": (1, None),
    }
    assert json.loads(json_bytes(numpy)) == {"a": 0.5, "b": 3, "c": True, "d": None, "e": [1, None]}


def test_json_keeps_text_as_it_is_and_half_a_surrogate_as_its_escape():
    data = json_bytes({"name": "שלום <b>", "path": "caf\udce9"})
    assert "שלום <b>".encode() in data
    assert json.loads(data) == {"name": "שלום <b>", "path": "caf\udce9"}


def test_run_says_what_was_run_and_lists_the_files(rendered):
    run = json.loads(rendered["run.json"])
    assert run["job"] == "compare"
    assert run["base"]["fingerprint"] == "00112233445566aa"
    assert run["versions"] == {"python": "3.11.2", "torch": "2.13.0"}
    assert run["files"] == sorted(rendered)
    assert {name for name in rendered if name.startswith("figures/")} == {
        f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png", "pdf")
    }


@pytest.mark.slow
def test_tables_come_back_as_they_were(comparison, tmp_path):
    out = comparison.save(tmp_path / "run")
    assert comparison.tables
    for name, table in comparison.tables.items():
        assert pq.read_table(out / "tables" / f"{name}.parquet").equals(table)


@pytest.mark.slow
def test_two_runs_differ_in_nothing_but_the_time_they_took(comparison, rendered):
    one = comparison.files()
    other = replace(comparison, run={**comparison.run, "elapsed_s": 99.25}).files()
    assert one == rendered
    assert {name for name in one if one[name] != other[name]} == {"report.html", "run.json"}
    for name in ("report.html", "run.json"):
        assert one[name].replace(b"41.52", b"99.25") == other[name]


@pytest.mark.slow
def test_a_loaded_run_is_shown_as_the_one_that_was_saved(comparison, rendered, tmp_path):
    loaded = Comparison.load(comparison.save(tmp_path / "run"))
    assert loaded.splits.keys() == comparison.splits.keys()
    assert repr(loaded.splits) == repr(comparison.splits)
    again = loaded.files()
    assert again.keys() == rendered.keys()
    assert {name for name in again if again[name] != rendered[name]} <= {"report.html", "run.json"}


@pytest.mark.slow
def test_every_file_but_pictures_holds_the_run_and_a_mixture_is_refused(comparison, preserved, tmp_path):
    one, other = comparison.save(tmp_path / "one"), preserved.save(tmp_path / "other")
    run = json.loads((one / "run.json").read_text())["run"]
    assert run == comparison.id != preserved.id
    assert json.loads((one / "verdict.json").read_text())["run"] == run
    assert f'content="{run}"' in (one / "report.html").read_text()
    for path in (one / "tables").iterdir():
        assert pq.read_schema(path).metadata[b"undertext.run"] == run.encode()
    for name in ("report.html", "verdict.json", "tables/problems.parquet"):
        mixed = shutil.copytree(one, tmp_path / "mixed", dirs_exist_ok=True)
        shutil.copy(other / name, mixed / name)
        with pytest.raises(UserError, match=rf"files of several runs: {name} is not of the run") as error:
            Comparison.load(mixed)
        assert "\n" not in str(error.value)
    shutil.copy(other / "run.json", mixed / "run.json")
    with pytest.raises(UserError, match="of several runs"):
        Comparison.load(mixed)


@pytest.mark.slow
def test_a_table_that_is_gone_or_damaged_is_named_and_another_s_is_left_alone(comparison, tmp_path):
    out = comparison.save(tmp_path / "run")
    (out / "tables" / "mine.parquet").write_bytes(b"mine")
    assert Comparison.load(out).tables.keys() == comparison.tables.keys()
    for spoil in (lambda path: path.write_bytes(b"PAR1"), lambda path: path.unlink()):
        spoil(out / "tables" / "sweep.parquet")
        with pytest.raises(UserError, match=r"sweep\.parquet is missing or damaged: "):
            Comparison.load(out)


def test_what_differs_between_two_runs_of_one_job_is_no_part_of_the_id(comparison):
    config = {**comparison.run["config"], "threads": 3, "overwrite": True}
    others = {"made": {"host": "elsewhere"}, "versions": {}, "timings_s": {}, "elapsed_s": 1.0}
    assert replace(comparison, run={**comparison.run, **others, "config": config}).id == comparison.id
    assert replace(comparison, run={**comparison.run, "config": {"seed": 9}}).id != comparison.id
    fewer = {**comparison.tables, "probes": comparison.tables["probes"].slice(1)}
    assert replace(comparison, tables=fewer).id != comparison.id


@pytest.mark.slow
def test_a_smaller_run_takes_the_place_of_a_larger_one(comparison, preserved, tmp_path, contents):
    out = comparison.save(tmp_path / "run")
    preserved.save(out)
    assert set(contents(out)) == {
        "figures/accuracy.pdf", "figures/accuracy.png", "figures/accuracy.svg", "report.html", "run.json",
        "tables/problems.parquet", "tables/sweep.parquet", "verdict.json",
    }  # fmt: skip


@pytest.mark.slow
def test_a_run_stays_whole_where_the_next_cannot_be_rendered(comparison, tmp_path, contents, monkeypatch):
    out = comparison.save(tmp_path / "run")
    before = contents(tmp_path)
    monkeypatch.setattr(module, "html", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        replace(comparison, run={"seed": 1}).save(out)
    assert contents(tmp_path) == before
