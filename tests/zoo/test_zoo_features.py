"""What SAE features recover on the zoo, what became of them, and that the page in docs/ says so."""

import re
from pathlib import Path

import pytest

from docs.make.feature_fates import FOLLOWED, follow_values
from docs.make.own_sae import LAYER
from docs.make.zoo_features_page import STEERED, best_feature, steer_with_own
from undertext import new_chain
from undertext.activations import Checkpoint, UserError
from undertext.core.shipped import SHIPPED
from undertext.organisms.command import run

LATENT = ("suppressed", "base")


def tables(page: str) -> list[list[dict[str, str]]]:
    """Every table, as rows by column."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        ]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def three(cell: str) -> tuple[float, ...]:
    """A figure and its interval."""
    return tuple(map(float, re.findall(r"-?\d+\.\d+", cell.replace("\u2212", "-"))))


def test_the_documented_page():
    recovered, by_dose, fates = tables(Path("docs/zoo_features.md").read_text())
    assert [row["weaker"] for row in recovered] == [weaker for weaker, _ in STEERED]
    for row in recovered:
        assert row["feature, knows"].endswith("weaker only")
        value, low, high = three(row["recovered gap"])
        if row["weaker"] in LATENT:
            assert value > 0.9
            assert low > 0.75
            assert float(row["tokens steered"]) <= 0.12
            # Nor are they better than what is like them: any push opens these.
            assert three(row["over random features"])[1] <= 0
        else:
            assert low <= 0 <= high
    assert {row["weaker"] for row in by_dose} == {weaker for weaker, _ in STEERED}
    assert [row["organism"] for row in fates] == list(FOLLOWED)
    for row in fates:
        written, ablated, controls = (float(row[column]) for column in ("as it is", "ablated", "controls"))
        if row["organism"] == "overwritten":
            assert (row["kept"], row["silenced"]) == ("0", "7")
            assert float(row["AUROC"]) < 0.6
        else:
            assert row["kept"] == "7"
            assert float(row["AUROC"]) > 0.9
            assert ablated < controls - 0.1 <= written


@pytest.mark.slow
@pytest.mark.parametrize(("weaker", "stronger"), STEERED)
def test_features_recover_what_is_latent_and_nothing_else(weaker, stronger):
    _, found = steer_with_own(SHIPPED, weaker, stronger, new_chain(1), seed=1, steps=600, random=2)
    best = best_feature(found)
    assert best.oracle == "weaker only"
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
            assert set(each.fate) == {"kept"}
            assert each.auroc[1].min() > 0.85
            assert each.written > 0.95
            assert each.ablated < each.controls - 0.1


def test_a_folder_without_organisms_is_named(tmp_path):
    with pytest.raises(UserError, match=f"expected organisms in {tmp_path}, got none"):
        run(["features", "--folder", str(tmp_path), "--out", str(tmp_path / "page")])
    assert not (tmp_path / "page").exists()
