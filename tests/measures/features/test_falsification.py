"""p values corrected for the number of features, spellings of words, and configs/features.yaml."""

import numpy as np
import pytest
import torch

from tests.saes.planted_words import toy_checkpoint
from undertext.activations.errors import UserError
from undertext.core.config import read_config
from undertext.measures.features.falsification import holm_corrected, words_for
from undertext.measures.features.rule import FeatureRule, feature_rule
from undertext.saes import falsify
from undertext.saes.reasoning_words import spellings
from undertext.tasks import Problem


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
    trial = falsify(plain, injected, reasoning, (other, reasoning))
    assert trial.paraphrase is not None
    tested = torch.tensor([True, True, False, True, True, True])
    found = holm_corrected(trial, tested)
    assert found.paraphrase is not None
    for test in ("welch", "mann_whitney"):
        before = torch.cat([trial.injection.p(test)[tested], trial.paraphrase.p(test)[tested]]).numpy()
        after = torch.cat([found.injection.p(test)[tested], found.paraphrase.p(test)[tested]]).numpy()
        assert after == pytest.approx(plain_holm(before))
        assert (after > before).any()
        assert found.injection.p(test)[2] == trial.injection.p(test)[2]
    assert torch.equal(found.injection.d, trial.injection.d)
    alone = holm_corrected(falsify(plain, injected, reasoning), tested)
    assert alone.paraphrase is None
    assert alone.injection.welch[tested].numpy() == pytest.approx(
        plain_holm(trial.injection.welch[tested].numpy())
    )
    none = holm_corrected(trial, torch.zeros(6, dtype=torch.bool))
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
    assert holm_corrected(trial, everything).fails(cuts).nonzero().flatten().tolist() == [7]


def test_a_rule_file_with_a_mistake_is_named(tmp_path):
    file = tmp_path / "rule.yaml"
    file.write_text("fates: {alive: 0.1, gon: 0.2}\nshift: {d: 0.8, p: 0.01, test: students}\n")
    with pytest.raises(UserError, match=r"fates\.gone.*fates\.recall.*shift\.test"):
        read_config(FeatureRule, file)


def test_spellings_are_those_that_the_tokenizer_has():
    base = toy_checkpoint()
    known = base.tokenizer.convert_tokens_to_ids("so")
    assert spellings(base.tokenizer, ("so", "wait")) == {"so": [[known]]}
    assert list(spellings(base.tokenizer)) == ["so"]
    problem = Problem(id="1", split="test", prompt="a", answer="3", trace="so answer 3")
    assert list(words_for(base, [problem], None, None)) == ["so"]
    with pytest.raises(UserError, match="no tokens for the word 'wait'"):
        words_for(base, [problem], ("so", "wait"), None)
    with pytest.raises(UserError, match="the task has no traces"):
        words_for(base, [problem.model_copy(update={"trace": None})], None, None)
