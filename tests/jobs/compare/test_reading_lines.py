"""What readings say of the gap: the values that count, and the lines `decodable` and `transported`."""

import numpy as np

from tests.jobs.compare.made_up_readings import SOURCES, made_up
from undertext.jobs.compare.evidence import carried_values, reading_lines
from undertext.measures.decoding.readings import NULLS


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
