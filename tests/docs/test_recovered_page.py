"""On the shipped zoo: steering recovers what is latent and not what is absent; and what passwords do."""

from pathlib import Path
from typing import NamedTuple

import pytest

from docs.make.zoo_recovered import GAPS, PASSWORDS, SPLITS, RecoveredPage
from tests.docs.markdown import numbers, tables
from undertext.core.progress import Progress


class Figure(NamedTuple):
    """A figure of the page with its interval."""

    value: float
    low: float
    high: float


def check(page: str) -> None:
    recovered, beside, behind, vectors = tables(page)
    everyone = {(gap.recipe.truth[split], gap.pair[0], split) for gap in GAPS for split in SPLITS}
    for table in (recovered, beside):
        assert {(row["truth"], row["weaker"], row["split"]) for row in table} == everyone
    assert {row["truth"] for row in recovered} == {"elicited", "suppressed", "overwritten", "taught"}
    for row in recovered:
        gap, steered = (
            Figure(*numbers(row["recovered gap"])),
            float(row["generated tokens steered"].rstrip("%")),
        )
        if row["truth"] in ("elicited", "suppressed"):
            if row["access"] == "weaker only":
                assert gap.value >= 0.9, row
                assert gap.low > 0.75, row
                assert steered <= 12, row
        else:
            assert gap.low <= 0 <= gap.high, row
            assert gap.high < 0.25, row
    for row in beside:
        most = Figure(*numbers(row["most of any"]))
        assert (most.value > 0.9) == (row["truth"] in ("elicited", "suppressed")), row
        assert (most.value < 0.1) == (row["truth"] in ("overwritten", "taught")), row
    opened = {row.pop("word before the prompt"): {k: float(v) for k, v in row.items()} for row in behind}
    for word, accuracy in opened.items():
        for split in SPLITS:
            assert (accuracy[split] > 0.9) == (word == "`swordfish`"), word
            assert (accuracy[split] < 0.3) == (word != "`swordfish`"), word
    assert len(opened) == 5
    # A wrong word does not open it. The difference that it makes does, like any push at the last token.
    assert {(row["vector"], row["split"]) for row in vectors} == {
        (contrast.name, split) for contrast in PASSWORDS for split in SPLITS
    }
    for row in vectors:
        assert Figure(*numbers(row["recovered gap"])).low > 0.75, row


def test_the_documented_page():
    check(Path("docs/zoo_recovered.md").read_text())


@pytest.mark.slow
def test_the_page_anew():
    check(RecoveredPage(seed=1).files(Progress(False))["zoo_recovered.md"].decode())
