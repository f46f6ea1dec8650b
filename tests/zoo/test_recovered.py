"""On the shipped zoo: what is latent is recovered by little steering, and what is absent is not."""

import pytest

from undertext import SteerConfig, Steered, new_chain, steer, zoo

pytestmark = pytest.mark.slow
CONFIG = SteerConfig(splits=("test",), search="halving", threads=1)


def recovered(weaker: str, stronger: str) -> Steered:
    return steer(zoo(weaker), new_chain(0), stronger=zoo(stronger), config=CONFIG, progress=False)


@pytest.mark.parametrize(("weaker", "stronger"), [("base", "elicited"), ("suppressed", "base")])
def test_a_vector_that_knows_the_weaker_alone_recovers_what_is_latent(weaker, stronger):
    found = recovered(weaker, stronger).splits["test"].values()
    own = [
        each
        for each in found
        if each.control is None
        and each.oracle == "weaker only"
        and each.gap is not None
        and each.gap.value >= 0.9
        and each.gap.low > 0.75
        and each.steered <= 0.12
    ]
    assert own


@pytest.mark.parametrize(("weaker", "stronger"), [("overwritten", "base"), ("novice", "taught")])
def test_nothing_recovers_what_is_absent(weaker, stronger):
    found = recovered(weaker, stronger)
    headline = found.splits["test"][found.headline]
    assert headline.gap is not None
    assert headline.gap.low <= 0 <= headline.gap.high
    assert headline.gap.high < 0.25
