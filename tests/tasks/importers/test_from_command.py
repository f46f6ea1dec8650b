"""`undertext task from`: one line for each mistake, nothing left behind, a valid task where all is well."""

import json

import pytest

from tests.tasks.importers.made import GSM8K, LOGS, gsm8k_rows
from undertext.__main__ import main
from undertext.tasks import load_task
from undertext.tasks.draws import clusters


@pytest.fixture
def cli(capsys):
    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main(["task", *map(str, args)])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def rows(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in gsm8k_rows()))
    return file


def test_each_kind_gives_a_task_that_check_finds_clean(cli, rows, tmp_path):
    asked = {
        "lm-eval": (GSM8K,),
        "inspect": (LOGS / "sums.eval", "--group", "family"),
        "dataset": (rows, "--format", "gsm8k", "--train", 10, "--test", 0.3, "--marks", "keep"),
        "reasoning-gym": ("leg_counting", "--size", 20, "--options", "max_animals", 3),
        "jsonl": (rows, "--columns", "prompt=question,answer=answer,type=noun", "--limit", 20),
    }
    for kind, args in asked.items():
        out = tmp_path / kind
        code, said, errors = cli("from", kind, *args, "--out", out)
        assert (code, errors) == (0, "")
        assert said.startswith(f"{out}: ")
        code, said, _ = cli("check", out)
        assert code == 0
        (warned,) = said.splitlines()[1:]  # of so few problems
        units = clusters(load_task(out).split("test"))
        n = f"{len(load_task(out).split('test'))} problems" if units is None else f"{max(units) + 1} groups"
        assert warned.startswith(f"warning: {n} in 'test': a line of evidence says nothing on fewer than 20")
    assert len((tmp_path / "lm-eval" / "outputs.jsonl").read_text().splitlines()) == 10
    assert len(load_task(tmp_path / "dataset").split("train")) == 10
    assert load_task(tmp_path / "jsonl").problems[0].steps[0].values


def test_a_row_of_a_data_set_that_is_no_good_is_found_by_its_place(cli, rows, tmp_path):
    args = ("from", "dataset", rows, "--format", "gsm8k", "--out", tmp_path / "out")
    lines = rows.read_text().splitlines()
    bad = json.dumps({"question": "How many?", "answer": "no last line"})
    rows.write_text("\n".join([*lines[:7], bad, *lines[7:]]) + "\n")
    code, _, errors = cli(*args)
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "row 8 of 31: expected a last line with the answer" in errors
    for broken, why in (
        ('{"question": "How', "no JSON: Unterminated string"),
        ("[1]", "expected a JSON object"),
    ):
        rows.write_text("\n".join([*lines[:4], "", broken, *lines[4:]]) + "\n")
        code, _, errors = cli(*args)
        assert (code, len(errors.splitlines())) == (2, 1), errors
        assert f"{rows}:6: {why}" in errors


def test_a_task_is_named_after_its_file_less_its_ending(cli, rows, tmp_path):
    assert cli("from", "dataset", rows, "--format", "gsm8k", "--out", tmp_path / "out")[0] == 0
    assert load_task(tmp_path / "out").name == "rows"


def test_a_config_file(cli, rows, tmp_path):
    (tmp_path / "from.yaml").write_text(
        f"columns: prompt=question,answer=answer\nout: {tmp_path / 'out'}\nseed: 3\n"
    )
    assert cli("from", "jsonl", rows, "--config", tmp_path / "from.yaml", "--limit", 12)[0] == 0
    assert len(load_task(tmp_path / "out").problems) == 12


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "expected undertext task from lm-eval|inspect|dataset|reasoning-gym|jsonl, got nothing"),
        (("csv", "FILE"), "got 'csv'"),
        (("jsonl", "--columns", "prompt=a,answer=b", "--out", "OUT"), "got no FILE"),
        (("jsonl", "ROWS", "--out", "OUT"), "expected --columns"),
        (("jsonl", "ROWS", "--columns", "prompt=question"), "expected --out"),
        (
            ("jsonl", "ROWS", "--columns", "prompt=question,answer=nowhere", "--out", "OUT"),
            "expected a column",
        ),
        (
            ("jsonl", "NOWHERE", "--columns", "prompt=a,answer=b", "--out", "OUT"),
            "expected a file that can be",
        ),
        (("dataset", "ROWS", "--out", "OUT"), "expected --format gsm8k"),
        (
            ("dataset", "ROWS", "--format", "gsm8k", "--split", "dev", "--out", "OUT"),
            "expected one of the splits",
        ),
        (("reasoning-gym", "no_such", "--out", "OUT"), "expected a generator of reasoning-gym"),
        (("inspect", "ROWS", "--out", "OUT"), "expected JSON"),
        (("lm-eval", "ROWS", "--out", "OUT"), "rows.jsonl:1: expected a line as --log_samples writes it"),
        (("lm-eval", "LOG", "--test", 500, "--out", "OUT"), "expected splits of one problem or more"),
        (("lm-eval", "LOG", "--group", "nowhere", "--out", "OUT"), "expected a column 'nowhere'"),
        (("lm-eval", "LOG", "--template", "no place", "--out", "OUT"), "expected a template with {prompt}"),
    ],
)
def test_mistakes(cli, rows, tmp_path, args, said):
    paths = {"ROWS": rows, "OUT": tmp_path / "out", "LOG": GSM8K, "NOWHERE": tmp_path / "nowhere"}
    code, printed, errors = cli("from", *(paths.get(arg, arg) for arg in args))
    assert (code, printed) == (2, "")
    assert errors.startswith("undertext: ")
    assert said in errors
    assert "Traceback" not in errors
    assert sorted(tmp_path.iterdir()) == [rows]
