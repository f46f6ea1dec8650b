"""One base and the checkpoints of a training run: each as `compare` alone has it, the base's work once."""

import copy
import os
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from tests.killing import Step, killed_when
from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from tests.toys import save_folder
from undertext import UserError, compare, compare_checkpoints
from undertext.activations.generation import generate
from undertext.core.setup import open_pair
from undertext.jobs.compare import job as compare_job
from undertext.jobs.compare import measured as compare_measured
from undertext.jobs.compare.checkpoints.result import CheckpointComparisons
from undertext.jobs.compare.checkpoints.sources import by_name, step_of
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.result import Comparison
from undertext.measures.answers import greedy, sampled
from undertext.measures.decoding.readings import measure_own
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


class Seen(NamedTuple):
    """What was done in a call, by spies."""

    asked: list[str]
    """Name of the checkpoint, for each time that greedy answers to a split were generated."""
    rows: list[int]
    """How many steered rows were generated, call by call."""
    alive: list[int]
    """How many of the models opened before were still there, each time that a pair was opened."""
    read: list[str]
    """Name of the checkpoint, for each time that its own probes were fitted."""
    drawn: list[str]
    """Ids of the problems that the weaker checkpoint was sampled on, one by one."""


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    found = Seen([], [], [], [], [])
    models: list[weakref.ref[Any]] = []

    def ask(checkpoint: Any, *rest: Any, **options: Any) -> Any:
        found.asked.append(Path(checkpoint.name).name)
        return greedy(checkpoint, *rest, **options)

    def steer(checkpoint: Any, prompts: Any, **options: Any) -> Any:
        found.rows.append(len(prompts))
        return generate(checkpoint, prompts, **options)

    def read(checkpoint: Any, *rest: Any, **options: Any) -> Any:
        found.read.append(Path(checkpoint.name).name)
        return measure_own(checkpoint, *rest, **options)

    def draw(checkpoint: Any, task: Any, problems: Any, **options: Any) -> Any:
        found.drawn.extend(problem.id for problem in problems)
        return sampled(checkpoint, task, problems, **options)

    def open_both(*given: Any, **options: Any) -> Any:
        found.alive.append(sum(model() is not None for model in models))
        pair = open_pair(*given, **options)
        models.extend(weakref.ref(each.model) for each in pair)
        return pair

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_job, "greedy", ask)
        patch.setattr(compare_job, "open_pair", open_both)
        patch.setattr(compare_measured, "measure_own", read)
        patch.setattr(compare_measured, "sampled", draw)
        patch.setattr(sweep_runner, "generate", steer)
        yield found


class Done(NamedTuple):
    result: CheckpointComparisons
    out: Path
    seen: Seen


def done_by(seen: Seen, work: Callable[[], Any]) -> tuple[Any, Seen]:
    """What `work` gives, and what was done for it."""
    for each in seen:
        each.clear()
    return work(), copy.deepcopy(seen)


@pytest.fixture(scope="module")
def done(trained: Path, seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> Done:
    out = tmp_path_factory.mktemp("done") / "out"
    result, was = done_by(seen, lambda: run(trained, out))
    return Done(result, out, was)


@pytest.fixture(scope="module")
def alone(trained: Path, seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Done]:
    """The comparisons with the last two checkpoints, each by itself."""
    made = {}
    for step in STEPS[1:]:
        out, ends = tmp_path_factory.mktemp("alone") / "out", (trained / "base", trained / "run")
        given = (str(ends[0]), str(ends[1] / f"checkpoint-{step}"), trained / "task")
        job = partial(compare, *given, config=QUICK, out=out, progress=False)
        result, was = done_by(seen, job)
        made[step] = Done(result, out, was)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS[1:])
def test_each_report_is_the_one_that_compare_writes_alone(step, done, alone):
    folders = done.out / f"checkpoint-{step}", alone[step].out
    assert len({(folder / "verdict.json").read_bytes() for folder in folders}) == 1
    shared, whole = done.result.comparison(f"checkpoint-{step}"), alone[step].result
    assert sorted(shared.tables) == sorted(whole.tables)
    assert all(shared.tables[table].equals(whole.tables[table]) for table in whole.tables)
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*")) for folder in folders]
    assert files[0] == files[1]


@pytest.mark.slow
def test_what_depends_on_the_base_alone_is_made_once(done, alone):
    splits = alone[30].seen.asked.count("base")
    assert splits == alone[60].seen.asked.count("base") > 0
    assert done.seen.asked.count("base") == splits
    for step in STEPS[1:]:
        assert done.seen.asked.count(f"checkpoint-{step}") == splits
    # The base's own probes, and samples of a problem that several have in their gap.
    assert done.seen.read.count("base") == 1 == alone[60].seen.read.count("base")
    assert set(done.seen.drawn) >= {*alone[30].seen.drawn, *alone[60].seen.drawn}
    assert len(set(done.seen.drawn)) == len(done.seen.drawn) > 0
    # Rows steered by random directions are the same in all three; of a comparison by itself all are run.
    by_itself = sum(alone[30].seen.rows)
    assert sum(alone[60].seen.rows) == by_itself
    table = alone[30].result.table("sweep").merge(alone[30].result.table("recovery"), on="vector")
    own = [access in ("none", "weaker only") for access in alone[30].result.table("recovery")["access"]]
    vectors = len(own)
    assert len(table)
    assert sum(done.seen.rows) == 3 * by_itself - 2 * by_itself * sum(own) // vectors


@pytest.mark.slow
def test_no_more_than_two_checkpoints_are_in_memory(done):
    assert done.seen.alive == [0, 0, 0]


@pytest.mark.slow
def test_the_table_has_a_row_a_checkpoint_in_the_order_of_training(done):
    result, out, _ = done
    assert [row.step for row in result.rows] == list(STEPS)
    own = {"result.json", "run.json", "report.html", "tables", "figures"}
    assert {path.name for path in out.iterdir()} == own | {f"checkpoint-{step}" for step in STEPS}
    table = result.table("checkpoints")
    for row, cells in zip(result.rows, table.to_dict("records"), strict=True):
        split = Comparison.load(out / row.checkpoint).splits["test"]
        assert (row.verdict, row.confidence, row.accuracy) == (
            split.verdict,
            split.confidence,
            split.accuracy,
        )
        assert (cells["verdict"], cells["tuned"]) == (split.verdict, split.accuracy["tuned"].value)
        assert list(row.lines) == [line.name for line in split.evidence]
        for line in split.evidence:
            assert row.lines[line.name].says == line.says == cells[f"{line.name}_says"]
            assert str(row.lines[line.name].share) == str(line.share)
    assert result.rows[-1].verdict == "taught"
    assert result.rows[-1].accuracy["tuned"].value > result.rows[0].accuracy["tuned"].value
    assert str(CheckpointComparisons.load(out).rows) == str(result.rows)
    page = (out / "report.html").read_text()
    assert all(f"checkpoint-{step}" in page for step in STEPS)
    assert result.code == 0


@pytest.mark.slow
def test_one_that_cannot_be_read_is_told_and_the_others_go_on(trained, tmp_path):
    broken = tmp_path / "checkpoint-45"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    tuned = {"late": trained / "run/checkpoint-60", "broken": broken}
    result = run(trained, None, tuned)
    assert result.code == 1
    assert list(result.failed) == ["broken"]
    assert "checkpoint-45/config.json" in result.failed["broken"]
    assert [row.checkpoint for row in result.rows] == ["late"]
    lost = result.table("checkpoints").iloc[-1]
    assert (lost["checkpoint"], lost["step"], lost["error"]) == ("broken", 45, result.failed["broken"])
    assert result.lines()[-1] == f"broken: not compared: {result.failed['broken']}"
    assert "checkpoint-45" in result.files()["report.html"].decode()
    with pytest.raises(UserError, match="no comparison of 'broken'; there are: late"):
        result.comparison("broken")
    with pytest.raises(UserError, match="the comparisons were not kept"):
        result.comparison("late")
    with pytest.raises(UserError, match=r"no checkpoint could be compared: .*config\.json"):
        run(trained, tmp_path / "none", {"broken": broken})


@pytest.mark.slow
def test_what_is_finished_is_not_made_again(trained, tmp_path, seen, alone):
    out, tuned = tmp_path / "out", [str(trained / f"run/checkpoint-{step}") for step in STEPS[1:]]

    def work(step: Step) -> None:
        replace = os.replace

        def replaced(source: Any, target: Any) -> None:
            replace(source, target)
            step()

        vars(os)["replace"] = replaced  # in the copy of this process alone
        run(trained, out, tuned)

    def due(steps: int) -> bool:
        return steps > 0 and (out / "checkpoint-60" / "parts" / "answers" / "test").exists()

    killed_when(work, due)
    before = (out / "checkpoint-30/run.json").read_bytes()
    result = run(trained, out, tuned)
    assert (out / "checkpoint-30/run.json").read_bytes() == before
    for step in STEPS[1:]:
        name = f"checkpoint-{step}/verdict.json"
        assert (out / name).read_bytes() == (alone[step].out / "verdict.json").read_bytes()
    again, was = done_by(seen, lambda: run(trained, out, tuned))
    assert str(again.rows) == str(result.rows)
    assert (was.rows, was.asked) == ([], [])  # nor when it is given once more
    with pytest.raises(UserError, match=r"holds a report of other settings: config\.samples was 2, is 3"):
        run(trained, out, tuned, samples=3)


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
