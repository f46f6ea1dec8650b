"""Commands say and write what golden/ holds: whoever changes it does so on purpose (see golden.py)."""

import json
import re

import pytest
import tyro
from pydantic import BaseModel

from tests.cli.golden import (
    GOLDEN,
    HELPS,
    JOBS,
    SLOW,
    SUBCOMMANDS,
    as_text,
    help_file,
    help_text,
    make_inputs,
    run_job,
)

WRITE = "written anew by `python -m tests.cli.golden --write`"


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("golden"))


def test_there_is_a_record_of_every_command_and_no_other():
    assert {path.name for path in GOLDEN.iterdir()} == {
        *(help_file(command).name for command in HELPS),
        *(f"{job}.json" for job in JOBS),
    }


@pytest.mark.parametrize("group", SUBCOMMANDS)
def test_every_subcommand_that_a_help_names_is_recorded(group):
    named = [line.split()[0] for line in help_text(group).splitlines() if line.startswith("  ")]
    assert sorted(named) == sorted(name for name in SUBCOMMANDS[group] if not name.startswith("from "))


@pytest.mark.parametrize("command", HELPS)
def test_the_help_is_the_one_recorded(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert help_text(command) == help_file(command).read_text(), WRITE


@pytest.mark.parametrize("job", [pytest.param(job, marks=[pytest.mark.slow] * (job in SLOW)) for job in JOBS])
def test_a_job_writes_what_is_recorded(job, inputs, tmp_path):
    record = run_job(job, inputs, tmp_path / "out")
    assert as_text(record) == (GOLDEN / f"{job}.json").read_text(), WRITE


@pytest.mark.parametrize("job", JOBS)
def test_every_job_writes_the_same_five_things(job):
    files = json.loads((GOLDEN / f"{job}.json").read_text())["files"]
    result = "verdict.json" if job == "compare" else "result.json"
    alone = {name for name in files if "/" not in name}
    assert alone == {result, "run.json", "report.html"}
    assert {name.split("/")[0] for name in files if "/" in name} <= {"tables", "figures"}


@pytest.mark.parametrize("command", HELPS)
def test_every_option_is_explained_by_a_sentence_that_stands_by_itself(command, monkeypatch):
    kinds: list[type[BaseModel]] = []

    def spied(kind, *rest, **options):
        kinds.append(kind)
        return read(kind, *rest, **options)

    read = tyro.cli
    monkeypatch.setattr(tyro, "cli", spied)
    help_text(command)
    for kind in kinds:
        assert (kind.__doc__ or "").strip().split("\n\n")[0].endswith((".", "?")), kind
        for name, field in kind.model_fields.items():
            text = field.description or ""
            assert re.match(r"[A-Z]|\w+[_:.]", text), f"{command} --{name}: {text!r}"
            assert text.endswith("."), f"{command} --{name}: {text!r}"
            assert not re.match(r"(Of|And|It|Its|That|This|These|They)\b", text), (
                f"{command} --{name}: {text!r}"
            )
