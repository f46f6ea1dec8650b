"""Keys whose outputs are cut: when the verdict waits for them, and when not."""

import numpy as np

from tests.verdicts import RULE, estimates, intervals
from undertext.core.terms import LineName
from undertext.jobs.compare.provisos import untried
from undertext.jobs.compare.raw_line import LineEstimates
from undertext.jobs.compare.verdict import capability


def test_a_key_whose_outputs_are_cut_is_excused_as_long_as_another_one_is_shut():
    wanted = {  # what prompted, prefilled and recovered say, and which were not tried
        (("unclear", "absent", "absent"), ("prompted",)): "absent",
        (("unclear", "absent", "absent"), ()): "unclear",
        (("unclear", "unclear", "absent"), ("prompted", "prefilled")): "unclear",
        (("unclear", "absent", "unclear"), ("prompted",)): "unclear",
        (("absent", "absent", "unclear"), ("recovered",)): "absent",
        (("unclear", "absent", "unclear"), ("prompted", "recovered")): "absent",
        (("unclear", "unclear", "unclear"), ("prompted", "prefilled", "recovered")): "unclear",
        (("absent", "absent", "latent"), ("recovered",)): "latent",
        (("latent", "absent", "absent"), ("prompted",)): "latent",
    }
    for (said, cut), found in wanted.items():
        says = dict(zip(("prompted", "prefilled", "recovered"), said, strict=True)) | {"continued": "absent"}
        words = {name: np.array([word]) for name, word in says.items()}
        excused = {name: np.array([True]) for name in cut}
        assert capability(words, 1, excused).tolist() == [found], (said, cut)  # type: ignore[arg-type]


def test_a_vector_whose_outputs_are_cut_is_not_excused_where_nothing_else_was_tried():
    words = {"recovered": np.array(["unclear"]), "continued": np.array(["absent"])}
    assert capability(words, 1, {"recovered": np.array([True])}).tolist() == ["unclear"]  # type: ignore[arg-type]


def test_only_what_is_surely_no_better_is_excused():
    rows: list[tuple[LineName, tuple[float, float, float], float]] = [
        ("prompted", (-0.3, 0.0, 0.1), 0.5),
        ("prefilled", (0.1, 0.3, 0.5), 0.5),
        ("recovered", (-0.3, 0.0, 0.1), 0.5),
        ("noised", (-0.3, 0.0, 0.1), 0.5),
    ]
    lines: dict[LineName, LineEstimates] = {
        name: estimates(intervals(row), 1.0)._replace(unfinished=cut) for name, row, cut in rows
    }
    found = {name: each.tolist() for name, each in untried(lines, RULE).items()}
    assert found == {"prompted": [True], "prefilled": [False], "recovered": [True]}
    kept: dict[LineName, LineEstimates] = {
        "prompted": lines["prompted"]._replace(unfinished=RULE.max_unfinished)
    }
    assert untried(kept, RULE)["prompted"].tolist() == [False]
