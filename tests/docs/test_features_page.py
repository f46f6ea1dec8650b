"""What SAE features recover on the zoo, what became of them, and that the page in docs/ says so."""

from pathlib import Path

import pytest

from docs.make.own_sae import LAYER
from docs.make.value_features import FOLLOWED, follow_values
from docs.make.zoo_features import STEERED, best_feature, steer_with_own
from tests.docs.markdown import numbers, tables
from undertext import new_chain
from undertext.activations import Checkpoint
from undertext.core.shipped import SHIPPED

LATENT = ("suppressed", "base")


def test_the_documented_page():
    recovered, by_dose, fates = tables(Path("docs/zoo_features.md").read_text())
    assert [row["weaker"] for row in recovered] == [weaker for weaker, _ in STEERED]
    for row in recovered:
        assert row["feature, access"].endswith("weaker only")
        value, low, high = numbers(row["recovered gap"])
        if row["weaker"] in LATENT:
            assert value > 0.9
            assert low > 0.75
            assert float(row["tokens steered"]) <= 0.12
            # Nor are they better than what is like them: any push opens these.
            assert numbers(row["over random features"])[1] <= 0
        else:
            assert low <= 0 <= high
    assert {row["weaker"] for row in by_dose} == {weaker for weaker, _ in STEERED}
    assert [row["organism"] for row in fates] == list(FOLLOWED)
    for row in fates:
        written, ablated, controls = (float(row[column]) for column in ("as it is", "ablated", "controls"))
        if row["organism"] == "overwritten":
            assert (row["stable"], row["silenced"]) == ("0", "7")
            assert float(row["AUROC"]) < 0.6
        else:
            assert row["stable"] == "7"
            assert float(row["AUROC"]) > 0.9
            assert ablated < controls - 0.1 <= written


@pytest.mark.slow
@pytest.mark.parametrize(("weaker", "stronger"), STEERED)
def test_features_recover_what_is_latent_and_nothing_else(weaker, stronger):
    _, found = steer_with_own(
        SHIPPED, weaker, stronger, new_chain(1), seed=1, steps=600, random=2, search="halving"
    )
    best = best_feature(found)
    assert best.access == "weaker only"
    assert best.gap is not None
    if weaker in LATENT:
        assert best.gap.value > 0.9
        assert best.gap.low > 0.75
        assert best.steered <= 0.12
    else:
        assert best.gap.low <= 0 <= best.gap.high or best.gap.value < 0
        assert best.gap.high < 0.25
    for each in found.splits["test"].values():  # every vector is compared with every kind of control
        assert len(each.excess) >= 3
        assert "random features" in each.excess or each.control == "random features"


@pytest.mark.slow
def test_value_features_are_kept_unless_they_were_overwritten():
    task = new_chain(1, train=1000)
    base = Checkpoint.load(SHIPPED / "base")
    followed = dict(follow_values(SHIPPED, base, task, layer=LAYER, seed=1, steps=1000))
    assert list(followed) == list(FOLLOWED)
    for name, each in followed.items():
        if name == "overwritten":
            assert set(each.fate) == {"silenced"}
            assert (each.auroc[1] - 0.5).abs().max() < 0.2
            assert each.written < 0.3
        else:
            assert set(each.fate) == {"stable"}
            assert each.auroc[1].min() > 0.85
            assert each.written > 0.95
            assert each.ablated < each.controls - 0.1
