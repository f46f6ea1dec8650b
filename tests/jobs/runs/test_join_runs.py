"""Joined runs: the table against the runs themselves, and every folder that is none named."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import sync_playwright

from tests.browser import QUIET
from tests.made_up_task import WEAKER, task_of
from tests.reading_task import made_task
from tests.toys import tiny_folder
from undertext import JoinedRuns, SteerConfig, TraceConfig, TraceResult, join_runs, read_trace, steer
from undertext.activations import UserError
from undertext.core.output import PAGE, RUN
from undertext.core.result import Result
from undertext.jobs.runs.folders import find_runs
from undertext.jobs.runs.settings import differing

HOSTILE = "<script>document.title = 'ran'</script>" + "x" * 100


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two runs of `trace` and one of `steer`, the last below a folder of its own."""
    folder = tmp_path_factory.mktemp("made")
    for seed, name in enumerate("ab"):
        tiny_folder(folder / "checkpoints" / name, seed=seed)
    task = made_task(train=40, dev=20, test=16).model_copy(update={"name": HOSTILE})
    quick = TraceConfig(layers=(0,), readers=("logit_lens",), problems=10, threads=1)
    for name in "ab":
        read_trace(folder / "checkpoints" / name, task, config=quick, out=folder / "runs" / f"trace-{name}")
    config = SteerConfig(
        splits=("test",), layers=(0,), doses=(1.0,), positions=("last_prompt",), random_directions=1,
        search_problems=4, vector_problems=8, threads=1,
    )  # fmt: skip
    steer(WEAKER, task_of(n=8), config=config, out=folder / "runs" / "more" / "steer")
    return folder / "runs"


@pytest.fixture
def runs(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "runs")


@pytest.mark.slow
def test_the_table_holds_what_each_run_found(runs, tmp_path):
    joined = join_runs(runs, out=tmp_path / "joined")
    assert (list(joined.jobs), joined.code, joined.failed) == (["steer", "trace"], 0, {})
    trace, steered = joined.jobs["trace"], joined.jobs["steer"]
    assert (trace.runs, trace.settings) == (["trace-a", "trace-b"], ["checkpoint"])
    assert (steered.runs, steered.settings) == (["more/steer"], [])
    for row in trace.rows:
        (lead,) = TraceResult.load(runs / str(row["run"])).by_layer
        assert (row["reader"], row["layer"]) == (lead.reader, lead.layer)
        assert (row["problems"], row["early"]) == (lead.problems, lead.early)
    loaded = JoinedRuns.load(tmp_path / "joined")
    assert loaded.jobs == joined.jobs
    (row,) = pq.read_table(tmp_path / "joined" / "tables" / "steer.parquet").to_pylist()
    summary = json.loads((runs / "more" / "steer" / "result.json").read_text())
    for name, figure in (("unsteered", "unsteered"), ("steered", "lenient")):
        found = summary["accuracy"]["test"][figure] if name == "unsteered" else None
        found = found or summary["splits"]["test"][row["vector"]][figure]
        assert [row[name], row[f"{name}_low"], row[f"{name}_high"]] == [
            found["value"], found["low"], found["high"],
        ]  # fmt: skip
    assert row["stronger"] is None
    assert "runs" in joined.figures()
    assert "trace-a" in joined._repr_html_()


def test_a_run_named_twice_and_a_joined_report_count_once(runs):
    join_runs(runs, out=runs)  # a report among the runs is none of them
    joined = join_runs(runs / "trace-a", runs, runs / "trace-a")
    assert joined.jobs["trace"].runs == ["trace-a", "trace-b"]
    assert join_runs(runs, out=runs).jobs == joined.jobs | {"trace": joined.jobs["trace"]}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("result.json", "{", "cannot be read as JSON"),
        ("run.json", "[]", "must hold a JSON object"),
        ("run.json", '{"job": "bench"}', "a run of the job bench; joined are compare, "),
        ("run.json", '{"job": 3}', "a run of the job 3"),
        ("tables/readings.parquet", "PAR1", "is missing or damaged"),
        ("report.html", '<meta name="undertext-run" content="0123456789abcdef">', "files of several runs"),
    ],
)
def test_a_damaged_run_is_named_and_the_others_are_joined(runs, file, text, said):
    (runs / "trace-a" / file).write_text(text)
    joined = join_runs(runs)
    assert joined.code == 1
    assert list(joined.failed) == ["trace-a"]
    assert said in joined.failed["trace-a"]
    assert joined.jobs["trace"].runs == ["trace-b"]
    assert any(line.startswith("trace-a: not joined: ") for line in joined.lines())


def test_half_written_and_mixed_runs_are_named(runs):
    shutil.copy(runs / "trace-b" / "result.json", runs / "trace-a" / "result.json")
    (runs / "begun" / "parts").mkdir(parents=True)
    (runs / "begun" / "parts" / "job.json").write_text('{"job": "trace"}')
    (runs / "more" / "steer" / RUN).unlink()
    failed = join_runs(runs).failed
    assert set(failed) == {"trace-a", "begun", "more/steer"}
    assert "files of several runs: result.json is not of the run in run.json" in failed["trace-a"]
    assert "a run that is not finished" in failed["begun"]
    assert "a run that has no run.json" in failed["more/steer"]


def test_figures_that_another_version_wrote_are_named(runs):
    for file in ("result.json", "run.json"):
        values = json.loads((runs / "trace-a" / file).read_text())
        if file == "result.json":
            values["leads"][0]["layer"] = "zero"
        (runs / "trace-a" / file).write_text(json.dumps(values))
    assert "figures are not as this version writes them" in join_runs(runs).failed["trace-a"]


def test_where_none_can_be_read_it_is_an_error_and_nothing_is_written(runs, tmp_path):
    (runs / "trace-a" / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"no run could be joined: .*cannot be read as JSON"):
        join_runs(runs / "trace-a", out=tmp_path / "joined")
    assert not (tmp_path / "joined" / PAGE).exists()


def test_folders_without_runs_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected a folder with runs in it"):
        join_runs(tmp_path / "nowhere")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(UserError, match="expected a run, or runs below it"):
        join_runs(tmp_path / "empty")


def test_runs_come_by_the_numbers_in_their_names_and_links_are_not_followed(tmp_path):
    for name in ("seed=10", "seed=2", "seed=1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / RUN).write_text('{"job": "trace"}')
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "seed=1" / "inside").mkdir()
    (tmp_path / "seed=1" / "inside" / RUN).write_text("{}")
    assert [path.name for path in find_runs([tmp_path])] == ["seed=1", "seed=2", "seed=10"]


def run_of(name: str, fingerprint: str, **config: object) -> Result:
    record = {"name": name, "fingerprint": fingerprint}
    run = {"job": "steer", "config": config, "checkpoint": fingerprint, "timings_s": {"x": len(name)}}
    return Result({"checkpoint": record}, {}, run)


def test_settings_that_differ():
    alike = [run_of("a", "1" * 16, seed=0, threads=1), run_of("a", "1" * 16, seed=0, threads=2)]
    assert differing(alike, []) == [{}, {}]
    others = [
        run_of("a", "1" * 16, seed=0, layers=[1, 2], rule={"x": 1}),
        run_of("a", "2" * 16, seed=3, layers=None, rule={"x": 1}),
        run_of("b", "3" * 16, seed=3, layers=[1], rule={"x": 1}),
    ]
    assert differing(others, ["layers"]) == [
        {"checkpoint": f"a [{'1' * 8}]", "seed": 0, "config.layers": "[1, 2]"},
        {"checkpoint": f"a [{'2' * 8}]", "seed": 3, "config.layers": "null"},
        {"checkpoint": "b", "seed": 3, "config.layers": "[1]"},
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_fits_runs_nothing_and_asks_for_nothing(runs, tmp_path, chromium, width, scheme):
    for letter in "ab":  # a name that is none of ours
        (runs / f"trace-{letter}").rename(runs / f"<b>{letter}{'y' * 120}")
    (runs / "begun" / "parts").mkdir(parents=True)
    (runs / "begun" / "parts" / "job.json").write_text("{}")
    join_runs(runs, out=tmp_path / "joined")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        view.on("console", lambda message: complaints.append(message.text))
        view.on("pageerror", lambda error: complaints.append(str(error)))
        ours = (tmp_path / "joined" / PAGE).as_uri()
        view.on("request", lambda sent: complaints.append(sent.url) if sent.url != ours and not
                sent.url.startswith("data:") else None)  # fmt: skip
        view.goto(ours, wait_until="load")
        assert view.evaluate("document.scripts.length") == 0
        assert view.locator("img[alt]").count() == view.locator("img").count() == 1
        assert view.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        reach = "[...document.querySelectorAll('main *')].map(each => each.getBoundingClientRect().right)"
        assert view.evaluate(f"Math.max(...{reach})") <= width
        assert view.get_by_text("<b>ayy").first.is_visible()
        assert view.get_by_text("a run that is not finished").is_visible()
        browser.close()
    assert complaints == []
