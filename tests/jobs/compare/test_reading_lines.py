"""What readings say of the gap: the values that count, and the lines `decodable` and `transported`."""

import numpy as np
import torch

from undertext.jobs.compare.evidence import carried_values, reading_lines
from undertext.measures.decoding.readings import NULLS, Readings
from undertext.tasks.value_tokens import ValueTokens


def made_up(accuracies: dict[str, dict[str, float]], n: int = 100) -> Readings:
    """Readings of values at one layer with these accuracies, by value and source, on dev and test alike."""
    rows = [[i, name] for i in range(n) for name in accuracies]
    sites = ValueTokens(
        [[1]] * n,
        torch.tensor([i for i, _ in rows]),
        [0] * len(rows),
        [str(name) for _, name in rows],
        ["x"] * len(rows),
    )
    out = Readings({"dev": sites, "test": sites}, {name: ["x", "y"] for name in accuracies})
    for name, by_source in accuracies.items():
        for source, accuracy in by_source.items():
            out.chosen[name, source] = 0
            for split in ("dev", "test"):
                out.right.setdefault((name, split), {})[source] = (torch.arange(n) < accuracy * n)[None]
    return out


SOURCES = {
    "weaker": 0.6,
    "stronger": 0.9,
    "transported": 0.4,
    "control": 0.1,
    "surface": 0.2,
    "window": 0.15,
    "random_init": 0.3,
}


def test_only_what_the_stronger_carries_over_every_null_counts():
    readings = made_up(
        {
            "carried": SOURCES,
            "in the surface": {**SOURCES, "surface": 0.8},
            "in the last tokens": {**SOURCES, "window": 0.8},
            "in any network": {**SOURCES, "random_init": 0.8},
            "in the weaker alone": {**SOURCES, "stronger": 0.3},
            "by heart": {**SOURCES, "control": 0.8},
        }
    )
    assert carried_values(readings, 0.15) == ["carried"]


def test_lines_are_over_the_gap_and_beside_each_values_hardest_null():
    readings = made_up({"a": SOURCES, "b": {**SOURCES, "surface": 0.5, "weaker": 1.0}})
    gap = [0, 35, 45, 70, 99]
    decodable, transported = reading_lines(readings, "test", ["a", "b"], gap)
    index = np.array(gap)
    assert decodable.problems.tolist() == transported.problems.tolist() == gap
    assert decodable.weaker.tolist() == ((index < 60) / 2 + 0.5).tolist()
    assert transported.weaker.tolist() == (index < 40).tolist()
    for line in (decodable, transported):
        assert line.stronger.tolist() == (index < 90).tolist()
        assert line.null.tolist() == ((index < 30) / 2 + (index < 50) / 2).tolist()
        assert "a: random init, b: surface" in line.note
    assert (decodable.name, decodable.access) == ("decodable", "none")
    assert (transported.name, transported.access) == ("transported", "stronger's activations")
    assert reading_lines(readings, "test", ["a"], []) == []
    assert set(NULLS) < set(SOURCES)
