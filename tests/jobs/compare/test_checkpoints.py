"""One base and the checkpoints of a training run: each as `compare` alone has it, the base's work done once."""

import os
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.killing import Step, killed_at_step
from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from tests.toys import save_folder
from undertext import UserError, compare, compare_checkpoints
from undertext.jobs.compare import job as compare_job
from undertext.jobs.compare.checkpoints.result import CheckpointComparisons
from undertext.jobs.compare.checkpoints.sources import by_name, step_of
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.result import Comparison
from undertext.steering import sweep_runner

QUICK = CompareConfig(
    samples=2, doses=(1.0,), positions=("last_prompt",), random_directions=2, search_problems=8,
    vector_problems=16, splits=["test"], threads=1,
)  # fmt: skip
STEPS = (10, 30, 60)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `task`, `base` and `run/checkpoint-STEP`, of one training run."""
    root = tmp_path_factory.mktemp("trained")
    problems = plain_problems()
    tokenizer = tokenizer_for(problems)
    write_by_hand(root / "task", problems, 4)
    save_folder(root / "base", blank(tokenizer, 8), tokenizer)
    for step in STEPS:
        model = learnt(problems, tokenizer, steps=step)
        save_folder(root / "run" / f"checkpoint-{step}", model, tokenizer)
    return root


def run(trained: Path, out: Path | None, tuned: Any = None, **changes: Any) -> CheckpointComparisons:
    tuned = [str(trained / "run/checkpoint-*")] if tuned is None else tuned
    config = QUICK.model_copy(update=changes)
    return compare_checkpoints(
        str(trained / "base"), tuned, trained / "task", config=config, out=out, progress=False
    )


@pytest.fixture(scope="module")
def done(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CheckpointComparisons, Path]:
    out = tmp_path_factory.mktemp("done") / "out"
    return run(trained, out), out


def test_each_report_is_the_one_that_compare_writes_alone(trained, done, tmp_path):
    result, out = done
    for step in STEPS:
        name = f"checkpoint-{step}"
        alone = compare(
            str(trained / "base"), str(trained / "run" / name), trained / "task", config=QUICK,
            out=tmp_path / name, progress=False,
        )  # fmt: skip
        assert (out / name / "verdict.json").read_bytes() == (tmp_path / name / "verdict.json").read_bytes()
        shared = result.comparison(name)
        assert list(shared.tables) == list(alone.tables)
        assert all(shared.tables[table].equals(alone.tables[table]) for table in alone.tables)
        files = [{path.relative_to(at) for path in at.rglob("*")} for at in (out / name, tmp_path / name)]
        assert files[0] == files[1]


def test_the_table_has_a_row_a_checkpoint_in_the_order_of_training(done):
    result, out = done
    assert [row.step for row in result.rows] == list(STEPS)
    assert {path.name for path in out.iterdir()} == {
        *(f"checkpoint-{step}" for step in STEPS), "result.json", "run.json", "report.html", "tables", "figures",
    }  # fmt: skip
    table = result.table("checkpoints")
    for row, cells in zip(result.rows, table.to_dict("records"), strict=True):
        alone = Comparison.load(out / row.checkpoint).splits["test"]
        assert (row.verdict, row.confidence, row.accuracy) == (
            alone.verdict,
            alone.confidence,
            alone.accuracy,
        )
        assert (cells["verdict"], cells["tuned"]) == (alone.verdict, alone.accuracy["tuned"].value)
        assert list(row.lines) == [line.name for line in alone.evidence]
        for line in alone.evidence:
            assert row.lines[line.name].says == line.says == cells[f"{line.name}_says"]
            assert str(row.lines[line.name].share) == str(line.share)
    assert result.rows[-1].verdict == "taught"
    assert result.rows[-1].accuracy["tuned"].value > result.rows[0].accuracy["tuned"].value
    loaded = CheckpointComparisons.load(out)
    assert str(loaded.rows) == str(result.rows)
    page = (out / "report.html").read_text()
    assert all(f"checkpoint-{step}" in page for step in STEPS)


@pytest.fixture
def rows_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steered rows are generated, call by call."""
    generated: list[int] = []
    spied = sweep_runner.generate

    def counted(checkpoint: Any, prompts: Any, **options: Any) -> Any:
        generated.append(len(prompts))
        return spied(checkpoint, prompts, **options)

    monkeypatch.setattr(sweep_runner, "generate", counted)
    return generated


def test_what_depends_on_the_base_alone_is_made_once(trained, tmp_path, rows_run, monkeypatch):
    asked: list[str] = []
    greedy = compare_job.greedy

    def spied(checkpoint: Any, *rest: Any, **options: Any) -> Any:
        asked.append(Path(checkpoint.name).name)
        return greedy(checkpoint, *rest, **options)

    monkeypatch.setattr(compare_job, "greedy", spied)
    tuned = [str(trained / f"run/checkpoint-{step}") for step in (30, 60)]
    alone = []
    for i, source in enumerate(tuned):
        compare(str(trained / "base"), source, trained / "task", config=QUICK, out=tmp_path / str(i))
        alone.append(sum(rows_run) - sum(alone))
    answers = asked.count("base") // 2
    asked.clear()
    rows_run.clear()
    run(trained, tmp_path / "out", tuned)
    assert asked.count("base") == answers
    assert [asked.count(f"checkpoint-{step}") for step in (30, 60)] == [answers, answers]
    assert sum(rows_run) < sum(alone)
    assert not list((tmp_path / "out").rglob("*.part"))


def test_one_that_cannot_be_read_is_told_and_the_others_go_on(trained, done, tmp_path):
    broken = tmp_path / "checkpoint-45"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    out = tmp_path / "out"
    tuned = [str(trained / "run/checkpoint-60"), str(broken)]
    result = run(trained, out, tuned)
    assert result.code == 1
    assert list(result.failed) == ["checkpoint-45"]
    assert "checkpoint-45/config.json" in result.failed["checkpoint-45"]
    assert "\n" not in result.failed["checkpoint-45"]
    assert [row.checkpoint for row in result.rows] == ["checkpoint-60"]
    whole, other = ((at / "checkpoint-60/verdict.json").read_bytes() for at in (done[1], out))
    assert whole == other
    lost = result.table("checkpoints").iloc[-1]
    assert (lost["checkpoint"], lost["step"], lost["error"]) == (
        "checkpoint-45", 45, result.failed["checkpoint-45"],
    )  # fmt: skip
    assert "not compared" in result.lines()[-1]
    with pytest.raises(UserError, match="no comparison of 'checkpoint-45'; there are: checkpoint-60"):
        result.comparison("checkpoint-45")
    with pytest.raises(UserError, match="no checkpoint could be compared: .*config.json"):
        run(trained, tmp_path / "none", [str(broken)])


def test_what_is_finished_is_not_made_again(trained, tmp_path, rows_run, monkeypatch):
    out, tuned = tmp_path / "out", [str(trained / f"run/checkpoint-{step}") for step in (30, 60)]

    def work(step: Step) -> None:
        replace = os.replace

        def replaced(source: Any, target: Any) -> None:
            replace(source, target)
            if str(target).endswith("run.json"):
                step()

        vars(os)["replace"] = replaced  # in the copy of this process alone
        run(trained, out, tuned)

    killed_at_step(work, 1, events=20_000)  # some while after the first report was made
    assert (out / "checkpoint-30/verdict.json").exists()
    assert not (out / "result.json").exists()
    before = (out / "checkpoint-30/run.json").read_bytes()
    result = run(trained, out, tuned)
    assert (out / "checkpoint-30/run.json").read_bytes() == before
    rows_run.clear()
    again = run(trained, out, tuned)
    assert str(again.rows) == str(result.rows)
    assert rows_run == []  # nor when it is given once more
    with pytest.raises(UserError, match="holds a report of other settings: config.samples was 2, is 3"):
        run(trained, out, tuned, samples=3)


def test_no_more_than_two_checkpoints_are_in_memory(trained, monkeypatch):
    opened = compare_job.open_pair
    models: list[weakref.ref[Any]] = []
    left: list[int] = []

    def spied(*given: Any) -> Any:
        left.append(sum(model() is not None for model in models))
        pair = opened(*given)
        models.extend(weakref.ref(each.model) for each in pair)
        return pair

    monkeypatch.setattr(compare_job, "open_pair", spied)
    tuned = {name: trained / f"run/checkpoint-{step}" for name, step in (("early", 10), ("late", 60))}
    result = run(trained, None, tuned)
    assert left == [0, 0]
    assert [row.checkpoint for row in result.rows] == ["early", "late"]
    with pytest.raises(UserError, match="the comparisons were not kept"):
        result.comparison("early")


@pytest.mark.parametrize(
    ("name", "source", "step"),
    [
        ("a", "run/checkpoint-200", 200),
        ("a", "owner/name@step1000", 1000),
        ("step5", "run/final", 5),
        ("a", "run-step5/final", None),
        ("a", "owner/name@step10k", None),
        ("a", "owner/name@stage1-step1000-tokens5B", 1000),
        ("a", object(), None),
    ],
)
def test_the_step_is_read_from_the_end_of_the_name(name, source, step):
    assert step_of(name, source) == step


def test_names_are_those_of_folders_and_differ():
    assert list(by_name(["run/checkpoint-1000", "run/checkpoint-200/"])) == [
        "checkpoint-200",
        "checkpoint-1000",
    ]
    assert list(by_name(["a/checkpoint-1", "b/checkpoint-1"])) == ["a-checkpoint-1", "b-checkpoint-1"]
    assert list(by_name(["owner/name@step1", "zoo:elicited"])) == ["name@step1", "elicited"]
    assert list(by_name(["runs/tables", "x"])) == ["checkpoint-tables", "x"]
    for wrong, said in (
        ([], "expected a tuned checkpoint or more"),
        (["a", "a"], "a is given twice"),
        ({"a/b": "x"}, "the name of a checkpoint is that of a folder"),
        ({"tables": "x"}, "none of .*tables"),
        ({"a": "x", "A": "y"}, "differ by more than case"),
        ([torch.nn.Linear(1, 1)], "give a mapping from names to checkpoints"),
        ("run/checkpoint-1", "expected a list of tuned checkpoints"),
    ):
        with pytest.raises(UserError, match=said):
            by_name(wrong)
