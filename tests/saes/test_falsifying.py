"""Token injection and paraphrase: the figures against scipy, and planted features that must fail or not."""

import random

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from scipy import stats

from tests.saes.planted_words import POINT, toy_checkpoint, word_sae
from undertext.activations.errors import UserError
from undertext.saes import Falsification, ShiftCuts, falsify, inject, read_texts, shift

CUTS = ShiftCuts(d=0.8, p=0.01, test="welch")


@st.composite
def sets(draw):
    numbers = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = [draw(st.integers(2, 12)) for _ in range(2)]
    pool = draw(st.sampled_from([[0.0], [0.0, 1.0], [0.0, 0.3, 0.3, 2.0, 7.0]]))
    return [torch.tensor(numbers.choice(pool, (n, 3)), dtype=torch.float32) for n in sizes]


def cohen(x, y):
    pooled = ((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / (len(x) + len(y) - 2)
    return (y.mean() - x.mean()) / pooled**0.5


# scipy warns of sets that have no spread.
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
@given(sets())
def test_figures_are_those_of_scipy(given):
    found = shift(*given)
    first, second = (each.double().numpy() for each in given)
    for j in range(3):
        x, y = first[:, j], second[:, j]
        assert found.mean[:, j].tolist() == pytest.approx([x.mean(), y.mean()])
        if x.std() == y.std() == 0:
            assert found.d[j] == (0 if x[0] == y[0] else np.copysign(np.inf, y[0] - x[0]))
            assert found.welch[j] == float(x[0] == y[0])
        else:
            assert found.d[j].item() == pytest.approx(cohen(x, y))
            assert found.welch[j].item() == pytest.approx(stats.ttest_ind(y, x, equal_var=False).pvalue)
        if len(np.unique(np.concatenate((x, y)))) == 1:
            assert found.mann_whitney[j] == 1
        else:
            expected = stats.mannwhitneyu(y, x, method="asymptotic").pvalue
            assert found.mann_whitney[j].item() == pytest.approx(expected)


@given(sets())
def test_turned_round_the_shift_is_the_opposite(given):
    there, back = shift(*given), shift(*given[::-1])
    torch.testing.assert_close(there.d, -back.d)
    torch.testing.assert_close(there.welch, back.welch)


def test_rounding_is_no_spread():
    """The mean of equal numbers is off in the last bits: 0.1 seven times, as float64."""
    found = shift(torch.full((7, 1), 0.1, dtype=torch.float64), torch.full((9, 1), 0.1, dtype=torch.float64))
    assert (found.d.item(), found.welch.item(), found.mann_whitney.item()) == (0, 1, 1)
    found = shift(torch.full((7, 1), 0.1, dtype=torch.float64), torch.full((9, 1), 0.3, dtype=torch.float64))
    assert (found.d.item(), found.welch.item()) == (np.inf, 0)
    assert found.rises(CUTS).all()


def test_each_cut_counts():
    found = shift(torch.arange(10.0)[:, None], torch.arange(10.0)[:, None] + 4)
    d, p = found.d.item(), found.welch.item()
    assert found.rises(ShiftCuts(d, p * 1.01, "welch"))
    assert not found.rises(ShiftCuts(d * 1.01, p * 1.01, "welch"))
    assert not found.rises(ShiftCuts(d, p, "welch"))
    between = (found.mann_whitney.item() + p) / 2
    assert (found.mann_whitney.item() < p) == bool(found.rises(ShiftCuts(d, between, "mann_whitney")))
    assert (found.mann_whitney.item() > p) == bool(found.rises(ShiftCuts(d, between, "welch")))


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=4),
    st.integers(0, 3),
    st.integers(0, 4),
)
def test_injection_adds_words_and_takes_nothing_away(texts, keep, count):
    words = [[100, 101], [200]]
    out = inject(texts, words, seed=3, count=count, keep=keep)
    assert out == inject(texts, words, seed=3, count=count, keep=keep)
    for old, new in zip(texts, out, strict=True):
        assert [i for i in new if i < 100] == old
        assert sum(i in (100, 200) for i in new) == count
        assert all(new[i + 1] == 101 for i, token in enumerate(new) if token == 100)
        assert new[: min(keep, len(old))] == old[:keep]


def test_scattered_words_reach_every_place():
    found = {tuple(inject([[1, 2]], [[9]], seed=seed, count=1)[0]) for seed in range(40)}
    assert found == {(1, 9, 2), (1, 2, 9)}


THOUGHTS = ["so", "find", "=", "+"]
FEATURES = ("so detector", "all words", "value", "value and a word", "wording", "dead")
WRITTEN = [
    {"so": 1.0},  # one word of reasoning, and nothing else
    {"so": 0.6, "find": 1.1, "=": 0.9},  # the whole vocabulary of reasoning
    {"7": 1.0},  # a value of the problems
    {"8": 2.0, "find": 0.1},  # a value, and a little for a word: caught as well
    {"answer": 1.5},  # a word that only one wording has
    {},
]


@pytest.fixture(scope="module")
def verdicts():
    """Texts without reasoning, the same with its words, reasoning, and reasoning in other words."""
    draw = random.Random(0)
    checkpoint = toy_checkpoint()
    sae = word_sae(checkpoint, WRITTEN)

    def chatter():
        return " ".join(draw.choice("abcdefghijklmnop") for _ in range(draw.randint(6, 12)))

    def reasoning(rephrased):
        values = ["7", "8", *(draw.choice("0123") for _ in range(4))]
        draw.shuffle(values)
        words = ["*", ";"] if rephrased else THOUGHTS
        end = "?" if rephrased else "answer"
        return " ".join(x for value in values for x in (draw.choice(words), value)) + f" {end}"

    plain = checkpoint.encode([chatter() for _ in range(60)])
    words = [checkpoint.tokenizer.encode(word, add_special_tokens=False) for word in ("so", "find", "=")]
    groups = [
        plain,
        inject(plain, words, seed=1, count=4),
        [reasoning(False) for _ in range(60)],
        [reasoning(True) for _ in range(60)],
    ]
    read = [read_texts(sae, checkpoint, texts, POINT).strongest() for texts in groups]
    return falsify(read[0], read[1], read[2], (read[3], read[2]))


def test_word_detectors_are_caught_and_values_are_not(verdicts):
    words = dict(zip(FEATURES, verdicts.word_detectors(CUTS).tolist(), strict=True))
    assert words == {
        "so detector": True,
        "all words": True,
        "value": False,
        "value and a word": True,
        "wording": False,
        "dead": False,
    }
    assert verdicts.transfer[FEATURES.index("all words")] > 0.5
    assert verdicts.transfer[FEATURES.index("value and a word")] < 0.2  # caught, though it hardly fires there
    assert verdicts.transfer[FEATURES.index("value")] == 0
    assert verdicts.transfer[FEATURES.index("dead")].isnan()


def test_paraphrase_catches_what_hangs_on_a_wording(verdicts):
    bound = dict(zip(FEATURES, verdicts.wording_bound(CUTS).tolist(), strict=True))
    assert bound["wording"]
    assert bound["so detector"]
    assert not bound["value"]
    assert verdicts.fails(CUTS).tolist() == [True, True, False, True, True, False]
    without = Falsification(verdicts.injection, verdicts.reasoning, None)
    assert without.fails(CUTS).tolist() == without.word_detectors(CUTS).tolist()


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UserError, match=r"two texts or more.*\[1, 2\] and \[3, 2\]"):
        shift(torch.rand(1, 2), torch.rand(3, 2))
    with pytest.raises(UserError, match="words of one token or more"):
        inject([[1]], [[]], seed=0)
