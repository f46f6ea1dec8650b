"""What figures show, in words, for those who cannot see them: the figures themselves."""

from undertext.core.statistics import Estimate
from undertext.report.figures.association import MOST, association_said
from undertext.report.figures.firing import firing_said
from undertext.report.figures.runs import MOST_PANELS, RunsPanel, runs_said
from undertext.report.figures.training import MOST_SAID, Moment, training_said

NAN = float("nan")


def moment(at: int, verdict="taught", **shares: float) -> Moment:
    base, tuned = Estimate(0.25, 0.2, 0.3, 40), Estimate(0.5 + at / 1000, 0.4, 0.7, 40)
    return Moment(at, verdict, base, tuned, {name: Estimate(v, v, v, 40) for name, v in shares.items()})  # type: ignore[misc]


def test_associations_are_said_class_by_class():
    rows = [
        {"value": "v", "class": "3", "auroc": {"base": 0.98765, "tuned": None}, "fate": "moved"},
        {"value": "w", "class": "4", "auroc": {"dev": 0.5, "test": 0.61}},
    ]
    assert association_said(rows) == (
        "v = 3 (moved): base 0.988, tuned \u2013. w = 4: dev 0.500, test 0.610."
    )
    assert association_said([]) == ""
    assert association_said(rows[:1] * (MOST + 5)).count("v = 3") == MOST


def test_firings_are_said_with_their_quartiles():
    shares = [0.0, 0.0, 0.0001, 0.01, 0.02, 0.03, 0.5]
    assert firing_said(shares) == (
        "2 of 7 latents are dead. Of the others: rarest 0.01%, lower quartile 1%, median 2%, upper quartile "
        "3%, most frequent 50%."
    )  # fmt: skip
    assert firing_said([0.0, 0.0]) == "All 2 latents are dead."


def test_runs_are_said_one_by_one_and_many_by_their_ends():
    panel = RunsPanel(
        "steer, test", ["a", "b", "c"],
        {"recovered": [Estimate(0.5, 0.4, 0.6, 9), None, 0.00034], "nothing": [None, None, NAN]},
    )  # fmt: skip
    assert runs_said([panel]) == "steer, test: recovered: a 0.50 [0.40,\u00a00.60], c 0.00034."
    many = RunsPanel("many", [f"run {k}" for k in range(9)], {"x": [float(k % 5) for k in range(9)]})
    assert runs_said([many]) == "many: x: lowest run 0 0.000, highest run 4 4.000."
    assert runs_said([many] * (MOST_PANELS + 3)).count("many: x") == MOST_PANELS
    assert runs_said([]) == ""


def test_training_is_said_in_its_order_with_verdicts_and_ends_of_shares():
    moments = [moment(200, "elicited", decodable=0.9), moment(100, decodable=NAN, used=0.5)]
    said = training_said({"test": moments}, None)
    assert said == (
        "test: step 100 taught, base 0.25 [0.20,\u00a00.30], tuned 0.60 [0.40,\u00a00.70]; step 200 "
        "elicited, base 0.25 [0.20,\u00a00.30], tuned 0.70 [0.40,\u00a00.70]; share, decodable: 0.90 at step "
        "200; share, used: 0.50 at step 100."
    )  # fmt: skip
    named = training_said({"test": [moment(0, used=0.25), moment(1, used=0.75)]}, ["first", "second"])
    assert "first taught" in named
    assert named.endswith("share, used: 0.25 at first to 0.75 at second.")
    long = training_said({"test": [moment(at) for at in range(30)]}, None)
    assert long.count("taught") == MOST_SAID
    assert f"{30 - MOST_SAID} more between them" in long
    assert "step 0 taught" in long
    assert "step 29 taught" in long
