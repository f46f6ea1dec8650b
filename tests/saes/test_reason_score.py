"""ReasonScore against a loop over tokens that follows the paper's words."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import assume, given

from undertext.activations.errors import UserError
from undertext.saes import Firings, TextFirings, score_reasoning


def windows(tokens, texts, spellings, before, after):
    """The set of tokens around occurrences of a word."""
    found = set()
    for spelling in spellings:
        for i in range(len(tokens) - len(spelling) + 1):
            end = i + len(spelling)
            if tokens[i:end] == list(spelling) and len(set(texts[i:end])) == 1:
                found |= {
                    j for j in range(i - before, end + after) if 0 <= j < len(tokens) and texts[j] == texts[i]
                }
    return found


def by_hand(acts, tokens, texts, words, before, after, power):
    near_each = [sorted(windows(tokens, texts, s, before, after)) for s in words.values()]
    near = sorted(set().union(*near_each))
    rest = [i for i in range(len(tokens)) if i not in near]
    plus, minus = acts[near].mean(0), acts[rest].mean(0)
    scores = []
    for j in range(acts.shape[1]):
        entropy = 1.0
        if len(words) > 1:
            mu = np.array([acts[rows][:, j].mean() if rows else 0.0 for rows in near_each])
            p = mu / mu.sum() if mu.sum() else mu
            entropy = -sum(x * math.log(x) for x in p if x > 0) / math.log(len(words))
        first = plus[j] / (plus.sum() or 1.0)
        scores.append(first * entropy**power - minus[j] / (minus.sum() or 1.0))
    return scores


@st.composite
def readings(draw):
    n = draw(st.integers(3, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    texts = np.sort(random.integers(0, 3, n))
    acts = random.exponential(1, (n, 4)) * (random.random((n, 4)) < draw(st.sampled_from([0.1, 0.6])))
    return acts, random.integers(0, 6, n).tolist(), texts.tolist()


WORDS = {"wait": [[0], [3, 4]], "so": [[1]], "hence": [[5, 5]]}


@given(readings(), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))
def test_the_formula(given, before, after, count):
    acts, tokens, texts = given
    words = dict(list(WORDS.items())[:count])
    inside = set().union(*(windows(tokens, texts, s, before, after) for s in words.values()))
    assume(0 < len(inside) < len(tokens))
    read = TextFirings(
        Firings.of(torch.tensor(acts, dtype=torch.float32)), torch.tensor(tokens), torch.tensor(texts)
    )
    found = score_reasoning(read, words, before=before, after=after)
    assert found.score.tolist() == pytest.approx(
        by_hand(acts, tokens, texts, words, before, after, 0.7), abs=1e-5
    )
    norms = torch.tensor([1.0, 2.0, 0.5, 3.0])
    scaled = score_reasoning(read, words, before=before, after=after, power=2.0, decoder_norms=norms)
    expected = by_hand(acts * norms.numpy(), tokens, texts, words, before, after, 2.0)
    assert scaled.score.tolist() == pytest.approx(expected, abs=1e-5)


def test_a_feature_of_one_word_has_no_entropy_and_one_of_all_words_leads():
    tokens = torch.tensor([9, 0, 9, 9, 9, 9, 1, 9, 9, 9])
    acts = torch.zeros(10, 3)
    acts[1, 0] = 1.0  # one word
    acts[[1, 6], 1] = 1.0  # both
    acts[4, 2] = 1.0  # elsewhere
    words = {"wait": [[0]], "so": [[1]]}
    found = score_reasoning(TextFirings(Firings.of(acts), tokens, torch.zeros(10, dtype=torch.long)), words)
    assert found.entropy.tolist() == pytest.approx([0, 1, 0])
    assert found.score[1] > found.score[0] == 0 > found.score[2]


def test_texts_without_words_or_without_anything_else_are_refused():
    read = TextFirings(
        Firings.of(torch.rand(4, 2)), torch.tensor([1, 2, 3, 4]), torch.zeros(4, dtype=torch.long)
    )
    with pytest.raises(UserError, match="none of the words is in the texts: wait"):
        score_reasoning(read, {"wait": [[7], [1, 2, 3, 4, 5]]})
    with pytest.raises(UserError, match="every token is within"):
        score_reasoning(read, {"wait": [[2]]})
    with pytest.raises(UserError, match="one token or more"):
        score_reasoning(read, {"wait": [[]]})
