"""Thresholds of configs/features.yaml, and p values corrected for the number of features."""

import numpy as np
import pytest
import torch

from undertext.activations.errors import UserError
from undertext.core.config import read_config
from undertext.measures.features.rule import FeatureRule, corrected, feature_rule
from undertext.saes import falsify


def plain_holm(p):
    """Step down: the smallest of n times n, and no p smaller than one before it."""
    order, out, least = np.argsort(p), np.empty(len(p)), 0.0
    for rank, i in enumerate(order):
        least = out[i] = max(least, min(1.0, p[i] * (len(p) - rank)))
    return out


def test_both_trials_and_all_tested_features_are_one_family():
    torch.manual_seed(0)
    plain, injected, reasoning, other = (
        torch.rand(9, 6) + torch.arange(6) * rise for rise in (0, 0.3, 1, 0.6)
    )
    trial = falsify(plain, injected, reasoning, other)
    assert trial.paraphrase is not None
    tested = torch.tensor([True, True, False, True, True, True])
    found = corrected(trial, tested)
    assert found.paraphrase is not None
    for test in ("welch", "mann_whitney"):
        before = torch.cat([trial.injection.p(test)[tested], trial.paraphrase.p(test)[tested]]).numpy()
        after = torch.cat([found.injection.p(test)[tested], found.paraphrase.p(test)[tested]]).numpy()
        assert after == pytest.approx(plain_holm(before))
        assert (after > before).any()
        assert found.injection.p(test)[2] == trial.injection.p(test)[2]
    assert torch.equal(found.injection.d, trial.injection.d)
    alone = corrected(falsify(plain, injected, reasoning), tested)
    assert alone.paraphrase is None
    assert alone.injection.welch[tested].numpy() == pytest.approx(
        plain_holm(trial.injection.welch[tested].numpy())
    )
    none = corrected(trial, torch.zeros(6, dtype=torch.bool))
    assert torch.equal(none.injection.welch, trial.injection.welch)


def test_chance_alone_fails_none_and_what_is_planted_fails():
    """2,000 features of noise: uncorrected, some pass p < 0.01 with a large d."""
    torch.manual_seed(1)
    plain, injected, reasoning = (torch.randn(12, 2000).abs() for _ in range(3))
    injected[:, 7] += 4
    cuts = feature_rule().shift
    trial = falsify(plain, injected, reasoning)
    everything = torch.ones(2000, dtype=torch.bool)
    assert trial.fails(cuts).sum() > 3
    assert corrected(trial, everything).fails(cuts).nonzero().flatten().tolist() == [7]


def test_a_rule_file_with_a_mistake_is_named(tmp_path):
    file = tmp_path / "rule.yaml"
    file.write_text("fates: {alive: 0.1, gon: 0.2}\nshift: {d: 0.8, p: 0.01, test: students}\n")
    with pytest.raises(UserError, match=r"fates\.gone.*fates\.recall.*shift\.test"):
        read_config(FeatureRule, file)
