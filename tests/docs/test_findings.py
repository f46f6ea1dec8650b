"""What the pages state, for figures that come out one way and the other."""

import pytest

from docs.make import findings
from undertext.core.statistics import Estimate


def about(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 100)


ABOVE, AROUND, BELOW = about(0.6, 0.9), about(-0.1, 0.2), about(-0.5, -0.1)


def test_recovered_names_each_checkpoint_by_its_interval():
    said = findings.recovered("The vector", {"a": ABOVE, "b": ABOVE, "c": AROUND, "d": None})
    assert said == (
        "The vector recovers part of the gap in `a` and `b`: the interval lies above zero. "
        "No recovery by the vector is shown in `c`: the interval does not lie above zero. "
        "There is no gap in `d`."
    )
    assert (
        findings.recovered("It", {"a": BELOW})
        == "No recovery by it is shown in `a`: the interval does not lie above zero."
    )
    assert "No recovery" not in findings.recovered("It", {"a": ABOVE})


def test_compared_tells_better_worse_and_neither_apart():
    said = findings.compared("The feature", "a random one", {"a": ABOVE, "b": BELOW, "c": AROUND})
    assert "better than a random one in `a`;" in said
    assert "worse than a random one in `b`;" in said
    assert "neither better nor worse than a random one, as far as the interval tells, in `c`." in said
    assert findings.compared("The feature", "a random one", {"a": ABOVE}) == (
        "The feature does better than a random one in `a`."
    )


def test_doses_are_counted():
    means = {"a": [(0.5, 0.4), (0.3, 0.4)], "b": [(0.1, 0.1)]}
    assert findings.at_equal_dose("these", "those", means).endswith(
        "at 1 of 2 doses in `a`, 0 of 1 doses in `b`."
    )


@pytest.mark.parametrize(
    ("distance", "frequency", "named"), [(0.05, 0.9, True), (0.05, 0.1, False), (0.4, 0.9, False)]
)
def test_firing_is_called_unrelated_only_where_it_fires_and_is(distance, frequency, named):
    said = findings.unrelated_firing({"a": distance, "b": 0.4}, {"a": frequency, "b": 1.0})
    assert ("In `a` these features fire" in said) == named
    assert bool(said) == named


def test_ablation_costs_where_the_interval_lies_below_zero():
    said = findings.ablation({"a": BELOW, "b": AROUND, "c": ABOVE})
    assert "costs more than ablating its controls in `a`." in said
    assert "In `b` and `c` no such cost is shown" in said
    assert "no such cost" not in findings.ablation({"a": BELOW})


def test_codes_are_one_rotated_another_or_none():
    transfers = {
        "same": findings.Transfer(0.8, 1.0, 0.95, 1.0),
        "turned": findings.Transfer(0.8, 1.0, 0.2, 0.98),
        "lost": findings.Transfer(0.8, 1.0, 0.2, 0.3),
        "blank": findings.Transfer(0.04, 0.24, 0.16, 0.17),
    }
    assert findings.one_code(transfers, 0.1).splitlines() == [
        "- `same`: one code with the base, read as well on the base as on itself.",
        "- `turned`: the same content in another code, read on the base after the rotation.",
        "- `lost`: read on itself, and not on the base.",
        "- `blank`: nothing is read on itself that could be transferred.",
    ]


def test_routes_are_counted_apart_by_training():
    assert findings.routes_above_zero([(False, ABOVE), (False, AROUND), (True, BELOW), (True, None)]) == (
        "Of 2 routes without training, 1 with an interval above zero: 1. "
        "Of 1 routes with training, 0 with an interval above zero."
    )
    assert findings.routes_above_zero([(True, AROUND), (True, ABOVE)]).endswith(
        "1 with an interval above zero: 2."
    )


def test_more_than_the_gap_is_said_where_a_route_recovers_more():
    assert findings.beyond_stronger([ABOVE, about(1.2, 1.5)]) == "More than the whole gap: 2."
    assert findings.beyond_stronger([ABOVE, None]) == ""
