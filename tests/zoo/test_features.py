"""Features of the base that carry a problem's values, followed into what was made of it."""

import pytest
import torch

from activations import HookPoint, TokenSpan, capture, load_pair
from saes import FATES, SaeConfig, carried, follow, read_pair, sort_fates, train_sae
from undertext.features.rule import feature_rule
from undertext.organisms.folder import SHIPPED
from undertext.tasks.new import new_chain
from undertext.tasks.sites import reading_sites, reading_text

POINT = HookPoint(2, "resid_post")


@pytest.fixture(scope="module")
def task():
    return new_chain(0, train=1500)


@pytest.fixture(scope="module")
def sae(task):
    """Of the base, at every token of problems with their traces."""
    base = load_pair(SHIPPED / "base", SHIPPED / "elicited").base
    texts = [reading_text(problem) for problem in task.problems if problem.split == "train"]
    config = SaeConfig(d_sae=512, k=8, steps=1500, batch_size=512, held_out=2000, lr=1e-3)
    return train_sae(capture(base, texts, [POINT], "all")[POINT], config, point=POINT).sae


def read_values(pair, sae, task, split):
    """What fires just before each value is written, and the values."""
    texts, places, values = [], [], []
    for problem in task.problems:
        if problem.split == split:
            text, sites = reading_text(problem), reading_sites(problem)
            texts.append(text)
            before = [pair.base.encode([text[: site.char_offset].rstrip()])[0] for site in sites]
            places.append([TokenSpan(len(ids) - 1, len(ids)) for ids in before])
            values += [int(site.value) for site in sites]
    rows = [capture(checkpoint, texts, [POINT], places).activations for checkpoint in pair]
    return read_pair(sae, (rows[0], rows[1])), torch.tensor(values)


@pytest.mark.slow
@pytest.mark.parametrize("tuned", ["elicited", "suppressed", "overwritten"])
def test_value_features_live_on_unless_they_were_overwritten(tuned, sae, task):
    pair = load_pair(SHIPPED / "base", SHIPPED / tuned)
    chosen = carried(*_base(read_values(pair, sae, task, "dev"))).auroc.nan_to_num(0.5).argmax(dim=1)
    firings, values = read_values(pair, sae, task, "test")
    fates = follow(firings, values)
    assert fates.auroc is not None
    base, there = fates.auroc[:, torch.arange(len(chosen)), chosen]
    assert base.min() > 0.9  # each value has a feature in the base
    kept = [FATES[fate] == "kept" for fate in sort_fates(fates, feature_rule().fates).index[chosen]]
    if tuned == "overwritten":
        assert not any(kept)
        assert (there - 0.5).abs().max() < 0.2
        assert firings.scales[1] > 5  # it is smaller all over: without matching, all would be silent
    else:
        assert all(kept)
        assert there.min() > 0.9


def _base(read):
    firings, values = read
    return firings.base, values
