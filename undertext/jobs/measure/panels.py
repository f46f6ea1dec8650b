"""What the figures of `measure` draw, from its tables."""

from collections.abc import Mapping
from math import exp

import pyarrow as pa

from undertext.core.statistics import Estimate
from undertext.report.figures.along import BOTH, GIVEN, RIGHT
from undertext.report.figures.curves import Line

Tables = Mapping[str, pa.Table]
Traces = dict[str, list[float]]
"""By problem, the probabilities after 0, 1, ... steps."""
READ: dict[str, dict[str, str]] = {
    "": {RIGHT: "log_p_right", GIVEN: "log_p_given"},
    ", by a probe": {RIGHT: "probe_right", GIVEN: "probe_given"},
}
"""By what a panel's title ends in, the columns of `along` that it draws."""


def along_panels(tables: Tables) -> dict[str, dict[tuple[str, str], list[list[float]]]]:
    """By whose traces and by what reads them, the probabilities of both answers along traces with a step.

    Where every trace gives the right answer, one line stands for both.
    """
    panels: dict[str, dict[str, dict[str, Traces]]] = {}
    for row in tables["along"].to_pylist() if "along" in tables else []:
        for said, columns in READ.items() if row["of"] else ():
            for answer, column in columns.items():
                if row[column] is not None:
                    p = exp(row[column]) if column.startswith("log_") else row[column]
                    lines = panels.setdefault(f"{row['traces']}{said}", {})
                    own = lines.setdefault(row["checkpoint"], {}).setdefault(answer, {})
                    own.setdefault(row["problem"], []).append(p)
    return {
        title: {
            (checkpoint, answer): list(traces.values())
            for checkpoint, by_answer in lines.items()
            for answer, traces in _alike(by_answer).items()
        }
        for title, lines in panels.items()
    }


def _alike(by_answer: dict[str, Traces]) -> dict[str, Traces]:
    right, given = (by_answer.get(answer) for answer in (RIGHT, GIVEN))
    return {BOTH: right} if right is not None and right == given else by_answer


def gain_panels(tables: Tables) -> dict[str, dict[str, Line]]:
    """By whose traces, the information gain of each checkpoint and its change."""
    panels: dict[str, dict[str, list[tuple[float, Estimate]]]] = {}
    for row in tables["curves"].to_pylist() if "curves" in tables else []:
        found = Estimate(row["gain"], row["low"], row["high"], row["n"])
        panels.setdefault(row["traces"], {}).setdefault(row["checkpoint"], []).append((row["share"], found))
    return {traces: dict(lines) for traces, lines in panels.items()}
