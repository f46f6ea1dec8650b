"""What readings say of the gap: which values count, and the lines `decodable` and `transported`."""

from collections.abc import Sequence

import numpy as np

from undertext.core.terms import CHOOSE
from undertext.jobs.compare.raw_line import RawLine
from undertext.measures.decoding.readings import NULLS, Readings


def carried(readings: Readings, margin: float) -> list[str]:
    """Values that the stronger checkpoint itself carries on dev, by `margin` over every null."""
    return [
        name
        for name in readings.classes
        if readings.accuracy(name, CHOOSE, "stronger")
        >= margin + max(readings.accuracy(name, CHOOSE, null) for null in NULLS)
    ]


def reading_lines(readings: Readings, split: str, names: Sequence[str], gap: Sequence[int]) -> list[RawLine]:
    """The lines `decodable` and `transported` over the problems in the gap."""
    null_of = {name: max(NULLS, key=lambda null: readings.accuracy(name, CHOOSE, null)) for name in names}
    null = readings.per_problem(names, split, lambda name: null_of[name])
    stronger = readings.per_problem(names, split, lambda _: "stronger")
    shown = ", ".join(f"{name}: {null_of[name].replace('_', ' ')}" for name in names)
    lines = []
    for line, source, oracle, what in (
        ("decodable", "weaker", "none", "probes fitted on the weaker checkpoint"),
        (
            "transported",
            "transported",
            "stronger's activations",
            "the stronger checkpoint's probes, unchanged",
        ),
    ):
        figures = readings.per_problem(names, split, lambda _, source=source: source)  # type: ignore[misc]
        problems = [i for i in gap if i in figures]
        if not problems:
            continue
        lines.append(
            RawLine(
                name=line,  # type: ignore[arg-type]
                problems=np.array(problems),
                weaker=np.array([figures[i] for i in problems]),
                stronger=np.array([stronger[i] for i in problems]),
                null=np.array([null[i] for i in problems]),
                oracle=oracle,  # type: ignore[arg-type]
                note=f"{what}, read on the weaker where each value is about to be said, on {len(problems)} "
                f"problems; null: the best of control labels, surface and random init on dev ({shown})",
            )
        )
    return lines
