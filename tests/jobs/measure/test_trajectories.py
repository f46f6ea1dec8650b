"""Confidence in both answers on made-up readings, by answers and by a probe, against plain loops."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.trails_task import written
from undertext.jobs.measure.collected import SCHEMAS, Collected, TrailReads
from undertext.jobs.measure.figures_of import measured
from undertext.jobs.measure.panels import along_panels
from undertext.jobs.measure.parts import Probed
from undertext.jobs.measure.trajectories import (
    by_answers,
    by_probe,
    confidence_rows,
    early_columns,
    trajectory_columns,
)
from undertext.measures.trace.along import AnswerAlong
from undertext.measures.trace.probe_along import ProbeAlong
from undertext.report.figures.along import BOTH, GIVEN, RIGHT, along_figure

PROBLEMS = 6
GIVEN_P = {0: [0.1, 0.6, 0.9], 1: [0.7, 0.4, 0.8, 0.9, 0.95], 2: [0.9], 4: [0.6, 0.7], 5: [0.3, 0.2]}
"""By problem, the probability of the answer given; problem 3 gives none."""
RIGHT_P = {0: [0.1, 0.6, 0.9], 1: [0.2, 0.5, 0.1, 0.0625, 0.5], 2: [0.05], 3: [0.2, 0.1], 4: [0.6, 0.7],
           5: [0.5, 0.75]}  # fmt: skip
TRUTH = np.array([True, False, False, False, True, False])
"""Whether the answer given is the right one."""
PROBE_P = {i: [p**0.5 for p in own] for i, own in RIGHT_P.items()}
"""What a probe reads of the right answer, 5; it does not know the wrong one, 7."""


def read_as(p: list[float]) -> AnswerAlong:
    return AnswerAlong(np.log(p), np.ones(len(p)), 1)


def trail(i: int) -> Any:
    steps = " ".join("b = 1 ;" for _ in RIGHT_P[i][1:])
    end = "" if i == 3 else " answer 5" if TRUTH[i] else " answer 7"
    return written(f"{steps}{end}".strip(), k=i, id=f"p{i}", answer=5, unfinished=i == 3)


TRAILS = [trail(i) for i in RIGHT_P]
READS = TrailReads(
    list(RIGHT_P), TRAILS, [read_as(p) for p in RIGHT_P.values()],
    [read_as(GIVEN_P[i]) if i in GIVEN_P else None for i in RIGHT_P],
)  # fmt: skip
PROBED = Probed(
    ProbeAlong(["5", "9"], [np.stack([p, 1 - np.array(p)], -1) for p in PROBE_P.values()]),
    ProbeAlong([], []), {}, {},
)  # fmt: skip


def plain(p: list[float]) -> dict[str, float | None]:
    """The three figures of one trace, by loops."""
    steps = len(p) - 1
    if not steps:
        return dict.fromkeys(("commitment", "monotonicity", "area"))
    settled = [i / steps for i in range(len(p)) if min(p[i:]) >= 0.5]
    return {
        "commitment": settled[0] if settled else None,
        "monotonicity": sum(b >= a for a, b in pairwise(p)) / steps,
        "area": 1 - sum((a + b) / 2 for a, b in pairwise(p)) / steps,
    }


NONE: dict[str, float | None] = dict.fromkeys(("commitment", "monotonicity", "area"))
WANTED = {
    "given": {i: plain(GIVEN_P[i]) if i in GIVEN_P else NONE for i in RIGHT_P},
    "right": {i: plain(p) for i, p in RIGHT_P.items()},
    "probe_given": {i: plain(p) if TRUTH[i] else NONE for i, p in PROBE_P.items()},
    "probe_right": {i: plain(p) for i, p in PROBE_P.items()},
}


def test_trails_are_what_they_are_meant_to_be():
    for i, each in zip(RIGHT_P, TRAILS, strict=True):
        assert len(each.steps) == len(RIGHT_P[i]) - 1
        assert each.answer == (None if i == 3 else "5" if TRUTH[i] else "7")


def test_the_table_has_a_row_a_trace():
    rows = confidence_rows("base", "own traces", READS, PROBED)
    assert [row["problem"] for row in rows] == [f"p{i}" for i in RIGHT_P]
    assert all(list(row) == [name for name, _ in SCHEMAS["confidence"]] for row in rows)
    for i, row in zip(RIGHT_P, rows, strict=True):
        assert (row["checkpoint"], row["traces"], row["steps"]) == ("base", "own traces", len(RIGHT_P[i]) - 1)
        for answer, wanted in WANTED.items():
            for name, value in wanted[i].items():
                assert row[f"{answer}_{name}"] == (None if value is None else pytest.approx(value))


def test_without_a_probe_the_table_has_none():
    rows = pa.Table.from_pylist(
        confidence_rows("base", "own traces", READS, None), pa.schema(SCHEMAS["confidence"])
    )
    assert rows["probe_right_area"].null_count == rows.num_rows
    assert rows["right_area"].null_count == 1


@pytest.mark.parametrize(
    ("source", "by", "names"),
    [
        (by_answers(READS), "", {"given": "", "right": "right answer: "}),
        (
            by_probe(READS, PROBED),
            "by a probe",
            {"probe_given": "by a probe: ", "probe_right": "right answer, by a probe: "},
        ),
    ],
)
def test_figures_are_means_of_the_table(source, by, names):
    collected = Collected()
    trajectory_columns(collected, "own traces", {"base": source}, PROBLEMS, by)
    found: dict[str, Any] = {column.figure: measured(column, None, 0) for column in collected.columns}
    assert len(found) == 8
    for answer, said in names.items():
        has = [each for each in WANTED[answer].values() if each["area"] is not None]
        for name, figure in (
            ("commitment", "commitment point"),
            ("monotonicity", "monotonicity"),
            ("area", "area over the curve"),
        ):
            values = [value for each in has if (value := each[name]) is not None]
            own = found[f"{said}{figure}"]["base"]
            assert (own["value"], own["n"]) == (pytest.approx(np.mean(values)), len(values))
        settled = found[f"{said}{'settles on it' if 'right' in said else 'settles on its answer'}"]["base"]
        assert settled["value"] == pytest.approx(np.mean([each["commitment"] is not None for each in has]))
        assert settled["n"] == len(has)


@pytest.mark.parametrize("right", [None, {"base": TRUTH}])
def test_early_commitment_and_the_accuracy_of_own_traces_alone(right):
    collected = Collected()
    points = trajectory_columns(collected, "own traces", {"base": by_answers(READS)}, PROBLEMS)
    collected = Collected()
    early_columns(collected, "own traces", points, right)
    found: dict[str, Any] = {column.figure: measured(column, None, 0) for column in collected.columns}
    for answer, said in (("given", ""), ("right", "right answer: ")):
        known = {
            i: each["commitment"] for i, each in WANTED[answer].items() if each["commitment"] is not None
        }
        assert found[f"{said}settles early"]["base"]["value"] == pytest.approx(
            np.mean([each <= 0.25 for each in known.values()])
        )
    name = "accuracy of later less early ones"
    assert (name in found) == (right is not None)
    if right is not None:
        known = {
            i: each["commitment"] for i, each in WANTED["given"].items() if each["commitment"] is not None
        }
        late, early = (
            np.mean([TRUTH[i] for i, each in known.items() if (each > 0.25) == later])
            for later in (True, False)
        )
        assert found[name]["base"]["value"] == pytest.approx(late - early)


def along(role: str, traces: str, **columns: list[float | None]) -> list[dict[str, Any]]:
    """Rows of the table `along` for one problem."""
    names = [name for name, _ in SCHEMAS["along"]]
    size = len(next(iter(columns.values())))
    ends = {"problem": "p", "checkpoint": role, "traces": traces, "of": size - 1}
    return [
        dict.fromkeys(names) | ends | {"step": k} | {name: values[k] for name, values in columns.items()}
        for k in range(size)
    ]


def test_both_answers_are_drawn_and_named_where_their_lines_end():
    half, whole, low = np.log(0.5), 0.0, np.log(0.25)
    rows = [
        *along(
            "base", "own traces", log_p_right=[half, low], log_p_given=[low, whole], probe_right=[0.5, 0.25]
        ),
        *along("tuned", "own traces", log_p_right=[low, whole], log_p_given=[low, whole]),
        *along("tuned", "the other's traces", log_p_right=[low]),
    ]
    panels = along_panels({"along": pa.Table.from_pylist(rows, pa.schema(SCHEMAS["along"]))})
    assert list(panels) == ["own traces", "own traces, by a probe"]
    drawn = panels["own traces"]
    assert list(drawn) == [("base", RIGHT), ("base", GIVEN), ("tuned", BOTH)]
    for key, values in zip(drawn, ([0.5, 0.25], [0.25, 1.0], [0.25, 1.0]), strict=True):
        assert drawn[key] == [pytest.approx(values)]
    assert panels["own traces, by a probe"] == {("base", RIGHT): [[0.5, 0.25]]}
    figure = along_figure(panels)
    own, probe = figure.axes
    assert [text.get_text() for text in own.texts] == [
        "base: right answer", "base: given answer", "tuned: both answers",
    ]  # fmt: skip
    assert [np.asarray(line.get_ydata())[-1] for line in own.lines] == pytest.approx([0.25, 1.0, 1.0])
    assert [text.get_text() for text in probe.texts] == ["base: right answer"]
    assert not figure.legends
