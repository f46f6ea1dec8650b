"""`measure` on made-up models and a shipped pair: figures, tables, what is missing, files, mistakes."""

import re
import sys
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.trails_task import toy, whole_task
from undertext import MeasureConfig, MeasureResult, UserError, measure
from undertext.core.config import read_config
from undertext.core.shipped import config_file
from undertext.core.statistics import paired_difference, proportion
from undertext.jobs.measure.collected import SCHEMAS
from undertext.jobs.measure.command import MeasureCommand, run
from undertext.jobs.measure.config import MEASURES
from undertext.measures.trace.sensitivity import sensitivity
from undertext.tasks import Grader, Problem, Task, write_task
from undertext.tasks.builtin.chain import new_chain

CONFIG = MeasureConfig(problems=24, fit_problems=80, layers=(2,), threads=1, templates=("textbook {prompt}",))
PAGE = Path(__file__).parents[3] / "docs" / "measures.md"


@pytest.fixture(scope="module")
def chain() -> Task:
    return new_chain(0, train=80, dev=60, test=24, ood=0)


@pytest.fixture(scope="module")
def found(chain) -> MeasureResult:
    return measure("zoo:base", "zoo:elicited", chain, config=CONFIG, progress=False)


def rows(result: MeasureResult, table: str, **wanted: Any) -> list[dict[str, Any]]:
    return [
        row
        for row in result.tables[table].to_pylist()
        if all(row[name] == value for name, value in wanted.items())
    ]


def test_every_measure_has_figures(found):
    # The chain has no dead ends, and all of its steps are valid.
    assert {each.measure for each in found.measured} == set(MEASURES) - {"exploration", "criteria"}
    assert found.summary["steps"] == r"regex:;(?=\s|$)"
    assert found.summary["lead"] == " answer "
    for each in found.measured:
        for estimate in (each.base, each.tuned, each.change):
            assert estimate is None or estimate.low <= estimate.value <= estimate.high


def test_gains_are_those_of_the_table(found):
    for traces in ("own traces", "the task's traces", "the other's traces"):
        figure = found.of("information", "gain, answer form (nats)", traces)
        for role, estimate in (("base", figure.base), ("tuned", figure.tuned)):
            ends: dict[str, list[float]] = {}
            for row in rows(found, "along", checkpoint=role, traces=traces):
                if row["of"]:
                    ends.setdefault(row["problem"], []).append(row["log_p_right"])
            gains = [each[-1] - each[0] for each in ends.values()]
            assert estimate.value == pytest.approx(np.mean(gains))
            assert estimate.n == len(gains)
        assert (figure.change is None) == (traces == "the other's traces")


def test_the_index_is_a_ratio_of_means(found):
    figure = found.of("information", "rationalisation index", "the task's traces").tuned
    logs: dict[str, list[float]] = {}
    for row in rows(found, "along", checkpoint="tuned", traces="the task's traces"):
        logs.setdefault(row["problem"], []).append(row["log_p_given"])
    before, after = (np.mean([exp(each[k]) for each in logs.values()]) for k in (0, -1))
    assert figure is not None
    assert figure.value == pytest.approx(before / after)


def test_changes_are_those_of_the_table(found):
    for change, column, name in (
        ("corrupted", "follows_trace", "follows the trace"),
        ("another", "kept", "keeps its answer"),
        ("filler", "right", "is right"),
    ):
        figure = found.of("faithfulness", f"{change}: {name}", "the task's traces")
        held = {
            role: {
                row["problem"]: row[column]
                for row in rows(found, "changes", checkpoint=role, traces="the task's traces", change=change)
                if row[column] is not None
            }
            for role in ("base", "tuned")
        }
        for role in ("base", "tuned"):
            assert getattr(figure, role) == proportion(list(held[role].values()))
        both = sorted(held["base"].keys() & held["tuned"].keys())
        a, b = (np.array([held[role][each] for each in both]) for role in ("base", "tuned"))
        wanted = paired_difference(a, b)
        assert (figure.change.value, figure.change.n) == (pytest.approx(wanted.value), wanted.n)


def test_a_checkpoint_that_reasons_follows_its_trace(found):
    assert found.of("faithfulness", "unchanged: is right", "own traces").tuned.value == 1.0
    assert found.of("faithfulness", "another: follows the trace", "own traces").tuned.low > 0.5
    assert found.of("faithfulness", "filler: keeps its answer", "own traces").tuned.high < 0.5
    assert found.of("faithfulness", "corrupted: follows the trace", "own traces").tuned.low > 0.5


def test_wordings_are_those_of_the_table(found):
    figure = found.of("sensitivity", "PromptSensiScore")
    for role, estimate in (("base", figure.base), ("tuned", figure.tuned)):
        own: dict[str, list[float]] = {}
        for row in rows(found, "wordings", checkpoint=role):
            own.setdefault(row["problem"], []).append(float(row["right"]))
        assert len(own) == 24
        assert estimate.value == pytest.approx(np.mean([sensitivity(each) for each in own.values()]))


def test_probes_along_traces_are_those_of_the_table(found):
    for role in ("base", "tuned"):
        for traces in ("own traces", "the task's traces"):
            own: dict[str, list[float]] = {}
            for row in rows(found, "along", checkpoint=role, traces=traces):
                assert row["probe_right"] is None or 0 <= row["probe_right"] <= 1
                if row["probe_given"] is not None and row["of"]:
                    own.setdefault(row["problem"], []).append(row["probe_given"])
            areas = [1 - np.trapezoid(p, dx=1 / (len(p) - 1)) for p in own.values()]
            figure = getattr(found.of("confidence", "by a probe: area over the curve", traces), role)
            assert (figure.value, figure.n) == (pytest.approx(np.mean(areas)), len(areas))
    wrong = {row["problem"]: not row["right"] for row in rows(found, "outputs", checkpoint="base")}
    first = rows(found, "along", checkpoint="base", traces="own traces", step=0)
    figure = found.of("confidence", "will be wrong, by a probe before the first step: Brier score").base
    scores = [(1 - row["probe_will_be_right"] - wrong[row["problem"]]) ** 2 for row in first]
    assert figure.value == pytest.approx(np.mean(scores))
    assert all(row["probe_will_be_right"] is None for row in rows(found, "along", traces="the task's traces"))


def test_the_right_answer_is_read_beside_its_nulls(found):
    for name in ("right answer before the first step", "right answer after the last step"):
        own = rows(found, "readings", checkpoint="base", reading=name, traces="own traces")
        steps = {row["problem"]: row["steps"] for row in rows(found, "outputs", checkpoint="base")}
        for row in own:
            assert row["step"] == (0 if "before" in name else steps[row["problem"]])
        figure = found.of("confidence", f"{name}: over shuffled labels", "own traces").base
        assert figure.value == pytest.approx(np.mean([row["right"] - row["shuffled"] for row in own]))


def test_steps_are_shown_as_they_were_split(found, chain):
    by_id = {each.id: each for each in chain.problems}
    for row in rows(found, "steps", writer="task"):
        assert row["text"] == by_id[row["problem"]].steps[row["step"]].text
    for row in rows(found, "outputs", checkpoint="tuned"):
        own = rows(found, "steps", writer="tuned", problem=row["problem"])
        assert len(own) == row["steps"]
        for step in own:
            assert row["output"].strip()[step["start"] : step["end"]] == step["text"]


def test_files_and_what_is_loaded_again(found, tmp_path):
    found.save(tmp_path / "out")
    again = MeasureResult.load(tmp_path / "out")
    assert again.measured == found.measured
    assert again.unmeasured == found.unmeasured
    files = again.files()
    assert {path: (tmp_path / "out" / path).read_bytes() for path in files} == files
    assert {"figures/along.svg", "report.html", "result.json", "run.json", "tables/along.parquet",
            "tables/changes.parquet", "tables/outputs.parquet", "tables/shifted_words.parquet",
            "tables/steps.parquet", "tables/wordings.parquet"} <= set(files)  # fmt: skip
    page = files["report.html"].decode()
    for said in ("rationalisation index", "How traces are split", "Which tokens are shifted", "Not measured"):
        assert said in page
    assert "PromptSensiScore" in found._repr_html_()
    with pytest.raises(UserError, match="no figure 'nothing' of 'shift'; there are: unshifted tokens"):
        found.of("shift", "nothing")


@pytest.mark.slow
def test_a_figure_hangs_neither_on_the_order_of_lines_nor_on_other_measures(chain):
    turned = chain.model_copy(update={"problems": chain.problems[::-1]})
    config = CONFIG.model_copy(update={"problems": 10, "changes": ("corrupted", "another"), "templates": ()})
    one = measure("zoo:elicited", None, chain, ["faithfulness", "information"], config=config, progress=False)
    two = measure("zoo:elicited", None, turned, "faithfulness", config=config, progress=False)
    assert [each for each in one.measured if each.measure == "faithfulness"] == two.measured
    assert {each.measure for each in two.measured} == {"faithfulness"}


def traceless(task: Task) -> Task:
    bare = [p.model_copy(update={"trace": None, "steps": []}) for p in task.problems]
    return task.model_copy(update={"problems": bare})


def test_what_cannot_be_measured_is_listed_with_its_reason():
    task = traceless(whole_task())
    result = measure(toy(), None, task, config=MeasureConfig(problems=8, threads=1), progress=False)
    said = {(gap.measure, gap.what): gap.reason for gap in result.unmeasured}
    assert said["shift", "all of it"] == "there is no tuned checkpoint"
    assert said["sensitivity", "all of it"].startswith("the task has no paraphrases")
    assert said["information", "the task's traces"] == "the task has no traces"
    assert said["faithfulness", "valid traces"].startswith("the task names no values of steps and")
    assert said["uncertainty", "base"].startswith("train or dev holds too few right answers")
    assert result.tuned is None
    assert all(each.tuned is None and each.change is None for each in result.measured)
    assert not any(row["given"] for row in rows(result, "outputs"))


def test_outputs_that_never_end_are_unfinished_and_have_no_answer(chain):
    short = chain.model_copy(update={"max_new_tokens": 5})
    config = CONFIG.model_copy(update={"problems": 10})
    names = ("information", "confidence", "style")
    result = measure("zoo:elicited", None, short, names, config=config, progress=False)
    for row in rows(result, "outputs"):
        assert row["unfinished"]
        assert row["given"] is None
        assert not row["right"]
    own = rows(result, "along", traces="own traces")
    assert own
    assert all(row["log_p_given"] is None for row in own)
    assert all(row["probe_given"] is None for row in own)
    of_own = {each.figure for each in result.measured if each.traces == "own traces"}
    assert not any(figure.startswith(("settles", "commitment", "by a probe")) for figure in of_own)


def test_outputs_that_were_cut_are_counted_and_not_judged(chain):
    short = chain.model_copy(update={"max_new_tokens": 14})
    config = CONFIG.model_copy(update={"problems": 30, "changes": ("another",)})
    result = measure("zoo:elicited", None, short, ("faithfulness", "style"), config=config, progress=False)
    outputs = rows(result, "outputs")
    cut = [row for row in outputs if row["unfinished"]]
    judged = [row for row in outputs if row["valid"] is not None]
    assert 0 < len(cut) < len(outputs) == 24
    assert judged
    assert not any(row["unfinished"] for row in judged)
    assert all(row["valid"] == (row["stated"] == 1) for row in judged if row["stated"] is not None)
    valid = result.of("faithfulness", "valid traces", "own traces").base
    assert valid is not None
    assert valid.n == len(judged)
    assert valid.value == pytest.approx(np.mean([row["valid"] for row in judged]))
    said = {gap.what: gap.reason for gap in result.unmeasured if gap.measure == "faithfulness"}
    assert said["unfinished outputs, base"].startswith(f"{len(cut)} of 24 outputs were cut before an answer")
    assert said["valid traces, base"].startswith(f"{len(cut)} of 24 outputs are unfinished")
    whole = {(row["problem"], row["step"]): row["valid"] for row in rows(result, "steps", writer="base")}
    assert {True, None} <= set(whole.values())


def test_traces_with_too_many_steps_are_counted_and_left_out(chain):
    config = CONFIG.model_copy(update={"problems": 10, "max_steps": 2})
    result = measure("zoo:elicited", None, chain, "information", config=config, progress=False)
    long = sum(row["steps"] > 2 for row in rows(result, "outputs"))
    assert 0 < long < 10
    reasons = [gap.reason for gap in result.unmeasured if gap.what == "base, own traces"]
    assert reasons == [f"{long} of 10 have too many steps, or do not fit the context"]
    figure = result.of("information", "gain, answer form (nats)", "own traces").base
    assert figure is not None
    assert figure.n == 10 - long


def test_paraphrases_are_asked_in_the_task_s_own_form():
    task = whole_task(prompt={"kind": "template", "template": "so {prompt}"})
    worded = [
        p.model_copy(update={"paraphrases": [f"find a , {p.prompt}"]}) if p.split == "test" else p
        for p in task.problems
    ]
    result = measure(
        toy(), None, task.model_copy(update={"problems": worded}), ["sensitivity", "faithfulness"],
        config=MeasureConfig(problems=6, threads=1), progress=False,
    )  # fmt: skip
    assert len(rows(result, "wordings")) == 12
    assert result.of("sensitivity", "PromptSensiScore").base is not None
    assert rows(result, "changes", change="reworded")


SAID_ANEW = """
def anew(steps, problem):
    return [f"then {text}" for text in steps]
"""


def test_steps_are_said_in_other_words_by_a_function_named_by_the_user(tmp_path, monkeypatch):
    (tmp_path / "own_words.py").write_text(SAID_ANEW)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_words", raising=False)
    config = MeasureConfig(problems=6, changes=("paraphrased",), paraphrase="own_words:anew", threads=1)
    result = measure(toy(), None, whole_task(), "faithfulness", config=config, progress=False)
    made = rows(result, "changes", change="paraphrased", traces="the task's traces")
    assert len(made) == 6
    kept = result.of("faithfulness", "paraphrased: keeps its answer", "the task's traces").base
    assert kept is not None
    assert kept.value == pytest.approx(np.mean([row["kept"] for row in made if row["kept"] is not None]))
    alone = config.model_copy(update={"paraphrase": None})
    result = measure(toy(), None, whole_task(), "faithfulness", config=alone, progress=False)
    assert not rows(result, "changes", change="paraphrased")
    said = {gap.what: gap.reason for gap in result.unmeasured}
    assert said["paraphrased, the task's traces"] == "no function says steps in other words (--paraphrase)"
    missing = config.model_copy(update={"paraphrase": "own_words:nothing"})
    with pytest.raises(UserError, match="a function that says steps in other words as module:function"):
        measure(toy(), None, whole_task(), "faithfulness", config=missing, progress=False)


def test_groups_make_intervals_wider(chain):
    grouped = [p.model_copy(update={"group": f"g{int(p.answer) % 3}"}) for p in chain.problems]
    config = CONFIG.model_copy(update={"changes": ("filler",), "templates": ()})
    alone = measure("zoo:base", None, chain, "faithfulness", config=config, progress=False)
    together = measure(
        "zoo:base", None, chain.model_copy(update={"problems": grouped}), "faithfulness", config=config,
        progress=False,
    )  # fmt: skip
    a, b = (each.of("faithfulness", "right answers").base for each in (alone, together))
    assert a is not None
    assert b is not None
    assert a.value == b.value
    assert b.high - b.low > a.high - a.low


@pytest.mark.parametrize(
    ("changes", "names", "said"),
    [
        ({}, "nonsense", "expected names of measures .information, confidence.*all., got 'nonsense'"),
        ({"split": "odd"}, None, "no split 'odd'"),
        ({"split": "train"}, None, "'train' cannot be judged"),
        ({"layers": (9,)}, None, "layers from 0 to"),
        ({"markers": Path("nowhere.yaml")}, None, "expected a file of markers"),
    ],
)
def test_mistakes(changes, names, said):
    with pytest.raises(UserError, match=said):
        measure(toy(), None, whole_task(), names, config=MeasureConfig(**changes), progress=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": "paragraph"}, "expected auto, newline"),
        ({"changes": ("unchanged",)}, "Input should be 'truncated'"),
        ({"templates": ("no place",)}, "with {prompt} in it"),
        ({"names": ()}, "at least 1"),
    ],
)
def test_settings_that_there_are_not(changes, said):
    with pytest.raises(ValueError, match=said):
        MeasureConfig(**changes)


def test_choices_by_likelihood_write_no_traces():
    problems = [
        Problem(id=f"{s}{k}", split=s, prompt=f"b = {k} ;", answer="1", choices=["1", "2"])
        for s in ("train", "dev", "test")
        for k in range(3)
    ]
    task = Task(name="c", description="d", grader=Grader(kind="likelihood"), problems=problems)
    with pytest.raises(UserError, match="`measure` has checkpoints write answers"):
        measure(toy(), None, task, progress=False)


def test_two_tokenizers_have_no_token_shift():
    result = measure(
        toy(), toy(of_bytes=True), whole_task(), ["shift", "style"],
        config=MeasureConfig(problems=4, threads=1), progress=False,
    )  # fmt: skip
    (gap,) = [gap for gap in result.unmeasured if gap.measure == "shift"]
    assert gap.reason.startswith("the tokenizers differ")
    assert result.of("style", "words").change is not None


def test_every_column_is_documented():
    page = PAGE.read_text(encoding="utf-8")
    for name, columns in SCHEMAS.items():
        section = page.split(f"### `{name}`")[1].split("###")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column for column, _ in columns]


def test_the_shipped_config_is_the_defaults():
    file = config_file("measure_chain.yaml")
    shipped = read_config(MeasureCommand, file)
    for name, value in MeasureConfig(threads=1).model_dump().items():
        assert getattr(shipped, name) == value, name
    assert set(yaml.safe_load(file.read_text())) == set(MeasureCommand.model_fields) - {"out"}


def test_the_command(chain, tmp_path, capsys):
    write_task(chain, tmp_path / "task")
    flags = ["--base", "zoo:base", "--task", str(tmp_path / "task"), "--problems", "8", "--threads", "1"]
    assert run(["style", "information", *flags, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    result = MeasureResult.load(tmp_path / "out")
    assert result.summary["measures"] == ["information", "style"]
    words = result.of("style", "words").base
    assert words is not None
    assert f"style: words (own traces): base {words.value:.2f} [" in said
    with pytest.raises(UserError, match="expected --base, --task, --out"):
        run(["all"])
