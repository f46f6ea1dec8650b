"""Information gain and confidence along traces of a shipped pair, from the tables and a bare pass."""

from collections.abc import Callable
from itertools import combinations
from math import exp
from typing import Any

import numpy as np
import pytest

from tests.trails_task import token_scores
from undertext import MeasureConfig, MeasureResult, measure
from undertext.core.setup import open_checkpoint
from undertext.tasks import Task
from undertext.tasks.builtin.chain import new_chain

READERS = {
    "the base's traces": {"base": "own traces", "tuned": "the other's traces"},
    "the tuned one's traces": {"base": "the other's traces", "tuned": "own traces"},
}
"""What each checkpoint calls the traces of one of them."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chain() -> Task:
    return new_chain(0, train=60, dev=40, test=12, ood=0)


@pytest.fixture(scope="module")
def found(chain) -> MeasureResult:
    config = MeasureConfig(problems=12, fit_problems=60, layers=(3,), threads=1, templates=("so {prompt}",))
    names = ["information", "confidence", "sensitivity"]
    return measure("zoo:base", "zoo:elicited", chain, names, config=config, progress=False)


def traces(result: MeasureResult, role: str, whose: str) -> dict[str, Any]:
    """Rows of `along` by problem, of traces with a step."""
    table = result.table("along")
    own = table[(table["checkpoint"] == role) & (table["traces"] == whose) & (table["of"] > 0)]
    return {str(problem): rows.sort_values("step") for problem, rows in own.groupby("problem")}


FIGURES: dict[str, Callable[[Any], float]] = {
    "gain, answer form (nats)": lambda rows: rows["gain"].sum(),
    "gain per step, answer form (nats)": lambda rows: rows["gain"].mean(),
    "gain, published code's form": lambda rows: rows["gain_published"].sum(),
}


@pytest.mark.parametrize("whose", [*READERS, "own traces", "the task's traces"])
@pytest.mark.parametrize("name", FIGURES)
def test_steps_add_up_to_the_figures(found, whose, name):
    figure = found.of("information", name, whose)
    each = {}
    for role in ("base", "tuned"):
        rows = traces(found, role, READERS.get(whose, {role: whose})[role])
        each[role] = {problem: FIGURES[name](own) for problem, own in rows.items()}
        assert getattr(figure, role).value == pytest.approx(np.mean(list(each[role].values())))
        assert getattr(figure, role).n == len(each[role])
    both = each["base"].keys() & each["tuned"].keys()
    assert figure.change.value == pytest.approx(np.mean([each["tuned"][p] - each["base"][p] for p in both]))
    assert figure.change.n == len(both)
    assert figure.change.low <= figure.change.value <= figure.change.high


def test_both_read_the_same_traces(found, chain):
    checkpoints = {
        "base": open_checkpoint("zoo:base", device="cpu", dtype="float32"),
        "tuned": open_checkpoint("zoo:elicited", device="cpu", dtype="float32"),
    }
    by_id = {each.id: each for each in chain.problems}
    outputs, steps = found.table("outputs"), found.table("steps")
    for whose, writer in zip(READERS, ("base", "tuned"), strict=True):
        for role, name in READERS[whose].items():
            read = traces(found, role, name)
            assert read.keys() == traces(found, writer, "own traces").keys()
            for problem, rows in list(read.items())[:3]:
                own = outputs[(outputs["problem"] == problem) & (outputs["checkpoint"] == writer)]
                text = own["output"].item().strip()
                mine = steps[(steps["problem"] == problem) & (steps["writer"] == writer)]
                ends = [0, *mine.sort_values("step")["end"]]
                logs = []
                for end in ends:
                    head = f"{by_id[problem].prompt} {text[:end]}".strip() + found.summary["lead"]
                    offsets, scores = token_scores(checkpoints[role], head + by_id[problem].answer)
                    logs.append(sum(s for (_, to), s in zip(offsets, scores, strict=True) if to > len(head)))
                assert rows["log_p_right"].tolist() == pytest.approx(logs, abs=2e-3)
                assert rows["gain"].tolist()[1:] == pytest.approx(np.diff(logs), abs=4e-3)


def test_what_was_there_beforehand_as_both_read_the_same_traces(found):
    for whose, readers in READERS.items():
        figure = found.of("information", "rationalisation index", whose)
        ends: dict[str, dict[str, Any]] = {}
        for role, name in readers.items():
            given = {p: r["log_p_given"].tolist() for p, r in traces(found, role, name).items()}
            ends[role] = {p: (exp(r[0]), exp(r[-1])) for p, r in given.items() if not np.isnan(r[0])}
            before, after = np.mean(list(ends[role].values()), 0)
            if getattr(figure, role) is not None:
                assert getattr(figure, role).value == pytest.approx(before / after)
        both = sorted(ends["base"].keys() & ends["tuned"].keys())
        means = {role: np.mean([own[p] for p in both], 0) for role, own in ends.items()}
        if figure.change is not None:
            ratios = {role: before / after for role, (before, after) in means.items()}
            assert figure.change.value == pytest.approx(ratios["tuned"] - ratios["base"])


def test_curves_are_drawn_with_their_change(found):
    curves = found.table("curves")
    whose = ["own traces", "the task's traces", *READERS]
    assert list(dict.fromkeys(curves["traces"])) == whose
    for name in whose:
        figure = found.of("information", "gain, answer form (nats)", name)
        last = curves[(curves["traces"] == name) & (curves["share"] == 1.0)].set_index("checkpoint")
        for column in ("base", "tuned", "change"):
            estimate = getattr(figure, column)
            assert last.loc[column, ["gain", "low", "high", "n"]].tolist() == pytest.approx(
                [estimate.value, estimate.low, estimate.high, estimate.n]
            )
    figure = found.figure("gain")
    assert [axis.get_title(loc="left") for axis in figure.axes] == whose
    for axis, name in zip(figure.axes, whose, strict=True):
        own = curves[curves["traces"] == name]
        drawn = {str(line.get_color()): line.get_ydata()[-1] for line in axis.lines}
        ends = own[own["share"] == 1.0]["gain"].tolist()
        assert set(np.round(ends, 9)) <= set(np.round(list(drawn.values()), 9))
        assert [text.get_text().split(":")[0] for text in axis.texts] == ["base", "tuned", "change"]
    page = found.files()["report.html"].decode()
    assert "Information gain along the trace" in page


CONFIDENCE = {
    "given": "",
    "right": "right answer: ",
    "probe_given": "by a probe: ",
    "probe_right": "right answer, by a probe: ",
}


def test_confidence_has_a_row_a_trace_and_figures_are_its_means(found):
    table = found.table("confidence")
    kinds = ["own traces", "the task's traces", "the other's traces"]
    assert table.groupby(["checkpoint", "traces"]).size().to_dict() == {
        (role, whose): 12 for role in ("base", "tuned") for whose in kinds
    }
    estimates = {
        (each.figure, each.traces, role): getattr(each, role)
        for each in found.measured
        for role in ("base", "tuned")
        if each.measure == "confidence"
    }
    for whose in kinds[:2]:
        for column, said in CONFIDENCE.items():
            for name, figure in (("commitment", "commitment point"), ("monotonicity", "monotonicity"),
                                 ("area", "area over the curve")):  # fmt: skip
                for role in ("base", "tuned"):
                    own = table[(table["traces"] == whose) & (table["checkpoint"] == role)]
                    values = own[f"{column}_{name}"].dropna()
                    estimate = estimates.get((f"{said}{figure}", whose, role))
                    assert (estimate is None) == (len(values) < 2)
                    if estimate is not None:
                        assert (estimate.value, estimate.n) == (pytest.approx(values.mean()), len(values))


def test_each_row_of_confidence_is_that_trace_along_its_steps(found):
    confidence = found.table("confidence").set_index(["checkpoint", "traces", "problem"])
    for role in ("base", "tuned"):
        for whose in ("own traces", "the other's traces"):
            for problem, rows in traces(found, role, whose).items():
                own = confidence.loc[role, whose, problem]
                read = {"right": np.exp(rows["log_p_right"]), "given": np.exp(rows["log_p_given"]),
                        "probe_right": rows["probe_right"], "probe_given": rows["probe_given"]}  # fmt: skip
                for name, p in read.items():
                    area = 1 - np.trapezoid(p, dx=1 / (len(p) - 1))
                    rises = np.mean(np.diff(p) >= -1e-12)
                    wanted = [np.nan, np.nan] if p.isna().any() else [area, rises]
                    held = [own[f"{name}_area"], own[f"{name}_monotonicity"]]
                    assert held == pytest.approx(wanted, nan_ok=True)


def test_accuracy_is_held_against_commitment_on_own_traces_alone(found):
    figures = [each for each in found.measured if each.figure == "accuracy of later less early ones"]
    assert {each.traces for each in figures} <= {"own traces"}
    assert not any("accuracy of later" in gap.what and "task's" in gap.what for gap in found.unmeasured)
    titles = [axis.get_title(loc="left") for axis in found.figure("along").axes]
    assert titles == [
        f"{whose}{said}" for whose in ("own traces", "the task's traces", "the other's traces")
        for said in ("", ", by a probe")
    ]  # fmt: skip


def test_each_problem_s_sensitivity_is_a_column_whose_mean_is_the_figure(found):
    outputs, wordings = found.table("outputs"), found.table("wordings")
    figure = found.of("sensitivity", "PromptSensiScore")
    for role in ("base", "tuned"):
        own = outputs[outputs["checkpoint"] == role].set_index("problem")["sensitivity"]
        assert (getattr(figure, role).value, getattr(figure, role).n) == (pytest.approx(own.mean()), 12)
        for problem, rows in wordings[wordings["checkpoint"] == role].groupby("problem"):
            pairs = [a != b for a, b in combinations(rows["right"], 2)]
            assert own[problem] == pytest.approx(np.mean(pairs))
