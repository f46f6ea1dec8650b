"""Figures of the findings' organisms, problem by problem: measured once, and kept beside the organisms."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp
from statistics import mean
from typing import Any, cast

from docs.make.ten_findings import Figure
from undertext.activations.store.disk import replace_file
from undertext.core.output import json_bytes
from undertext.core.progress import Progress
from undertext.jobs.measure.config import MeasureConfig, MeasureName
from undertext.jobs.measure.criteria import UNSEEN
from undertext.jobs.measure.exploration import NAME as DEAD_BRANCH
from undertext.jobs.measure.job import measure
from undertext.jobs.measure.result import MeasureResult
from undertext.measures.trace.sensitivity import sensitivity
from undertext.organisms.findings.build import FindingsFolder, digest
from undertext.organisms.findings.families import FAMILIES, task

OWN = "own traces"
KEPT = "measured"
"""Folder of what was measured, beside the organisms of a seed."""
READINGS: tuple[tuple[Figure, MeasureName, str], ...] = (
    ("dead branch read", "exploration", DEAD_BRANCH),
    ("good step read", "criteria", UNSEEN),
)
"""Figures that are readings of activations: what `measure` calls each."""
Figures = dict[Figure, dict[str, float]]
"""By figure and problem."""


def figures_of(
    folder: FindingsFolder,
    organism: str,
    family: str,
    split: str,
    measures: Sequence[str],
    problems: int,
    bars: Progress,
) -> Figures:
    """The figures of one organism on one split. What was measured of the same organism is taken over."""
    config = MeasureConfig(
        names=cast(tuple[MeasureName, ...], tuple(measures)),
        seed=folder.seed,
        split=split,
        problems=problems,
        changes=("another",),
        threads=1,
    )
    inputs = {"organism": digest(organism), "family": family, "config": config.model_dump(mode="json")}
    name = f"{organism}-{family}-{split}-{'-'.join(measures)}.json"
    kept = folder.at / KEPT / name
    if kept.exists():
        record: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        if record["of"] == inputs:
            return cast(Figures, record["figures"])
    asked = task(FAMILIES[family], folder.seed)
    result = measure(str(folder.ensure(organism)), None, asked, config=config, progress=bars)
    figures = by_problem(result)
    kept.parent.mkdir(parents=True, exist_ok=True)
    replace_file(kept, [json_bytes({"of": inputs, "figures": figures})])
    return figures


def by_problem(result: MeasureResult) -> Figures:
    """Every figure that one checkpoint's tables hold, of the problems that have it."""
    rows = {name: table.to_pylist() for name, table in result.tables.items()}
    found: Figures = {"accuracy": {}, "words": {}, "doubt": {}, "valid": {}, "right, not valid": {}}
    for row in rows["outputs"]:
        problem, right = row["problem"], float(row["right"])
        found["accuracy"][problem] = right
        found["words"][problem] = float(row["words"])
        if row["doubt"] is not None:
            found["doubt"][problem] = row["doubt"]
        if row["valid"] is not None:
            valid = float(row["valid"])
            found["valid"][problem] = valid
            found["right, not valid"][problem] = right * (1 - valid)
    found["internal doubt"] = told_apart(
        # What was cut is neither right nor wrong.
        {
            row["problem"]: row["internal"]
            for row in rows["outputs"]
            if row["internal"] is not None and not row["unfinished"]
        },
        {problem: 1 - right for problem, right in found["accuracy"].items()},
    )
    _along(found, [row for row in rows.get("along", []) if row["traces"] == OWN])
    _wordings(found, rows.get("wordings", []))
    follows = {
        row["problem"]: float(row["follows_trace"])
        for row in rows.get("changes", [])
        if row["traces"] == OWN and row["change"] == "another" and row["follows_trace"] is not None
    }
    found["follows another"] = follows
    found["dead ends left"] = {
        row["problem"]: float(row["left"]) for row in rows.get("exploration", []) if row["traces"] == OWN
    }
    for name, measured, reading in READINGS:
        found[name] = _over_surface(
            row for row in rows.get("readings", []) if (row["measure"], row["reading"]) == (measured, reading)
        )
    return {name: values for name, values in found.items() if values}


def told_apart(read: Mapping[str, float], wrong: Mapping[str, float]) -> dict[str, float]:
    """What each problem adds to the coefficient of discrimination of read probabilities of being wrong.

    The coefficient (Tjur 2009, The American Statistician 63:366) is the mean where the answer is wrong less
    the mean where it is right. It is the mean of the values given here: the coefficient and each problem's
    influence on it, so that draws of problems are draws of these. Nothing where all are right, or none.
    """
    known = [wrong[problem] for problem in read]
    if len(set(known)) < 2:
        return {}
    share = mean(known)
    of_wrong = mean(value for problem, value in read.items() if wrong[problem])
    of_right = mean(value for problem, value in read.items() if not wrong[problem])
    return {
        problem: of_wrong
        - of_right
        + ((value - of_wrong) / share if wrong[problem] else (of_right - value) / (1 - share))
        for problem, value in read.items()
    }


def _over_surface(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """How often a step is read rightly, less how often its surface is, by problem."""
    over: dict[str, list[float]] = {}
    for row in rows:
        if row["surface"] is not None and row["right"] is not None:
            over.setdefault(row["problem"], []).append(row["right"] - row["surface"])
    return {problem: mean(values) for problem, values in over.items()}


def _along(found: Figures, rows: Sequence[Mapping[str, Any]]) -> None:
    """Information gain, and the confidence in the answer given, of traces with a step."""
    by_trace: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_trace.setdefault(row["problem"], []).append(row)
    named: dict[Figure, dict[str, float]] = {"gain": {}, "given at once": {}, "area": {}}
    for problem, own in by_trace.items():
        points = sorted(own, key=lambda row: int(row["step"]))
        if len(points) < 2:
            continue
        named["gain"][problem] = points[-1]["log_p_right"] - points[0]["log_p_right"]
        if any(point["log_p_given"] is None for point in points):
            continue
        p = [exp(point["log_p_given"]) for point in points]
        named["given at once"][problem] = p[0]
        named["area"][problem] = 1 - sum(a + b for a, b in pairwise(p)) / (2 * (len(p) - 1))
    found.update(named)


def _wordings(found: Figures, rows: Sequence[Mapping[str, Any]]) -> None:
    right: dict[str, list[float]] = {}
    for row in rows:
        right.setdefault(row["problem"], []).append(float(row["right"]))
    scores = {problem: sensitivity(values) for problem, values in right.items()}
    found["sensitivity"] = {problem: score for problem, score in scores.items() if score is not None}
