"""Firings are the dense strengths, however they are read."""

import pytest
import torch
from sae_lens import TopKSAE, TopKSAEConfig

from tests.checker import signatures_unchecked
from tests.saes.planted_words import POINT, toy_checkpoint, word_sae
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store import StoreWriter, open_pair
from undertext.saes import Firings, TextFirings, encode, read_pair, read_texts
from undertext.saes.texts import TOKENS, _parts

PLACE = HookPoint(1, "resid_post")


@pytest.fixture(scope="module")
def sae():
    torch.manual_seed(0)
    made = TopKSAE(TopKSAEConfig(d_in=8, d_sae=24, k=4))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return made.eval()


def dense(firings):
    return torch.stack([firings.column(j) for j in range(firings.d_sae)], dim=1)


def test_nothing_is_lost(sae):
    rows = torch.randn(103, 8)
    strengths = encode(sae, rows)
    assert 0 < strengths.count_nonzero() < strengths.numel()
    found = Firings.of(strengths)
    torch.testing.assert_close(dense(found), strengths)
    assert torch.equal(found.counts, (strengths > 0).sum(dim=0))
    assert torch.equal(found.rows, (strengths > 0).t().nonzero()[:, 1])
    torch.testing.assert_close(found.sums(found.strengths), strengths.sum(dim=0))
    some = torch.rand(103) < 0.4
    torch.testing.assert_close(dense(found.take(some)), strengths[some])


def test_a_pair_of_stores_is_read_as_its_tensors(sae, tmp_path):
    both = torch.randn(2, 2, 45, 8)
    for name, part in zip(("base", "tuned"), both, strict=True):
        with StoreWriter(tmp_path / name, (HookPoint(0, "resid_post"), PLACE), 8) as writer:
            writer.append(part, {"problem": ["p"] * 45, "tokens": list(range(45))})
    pair = open_pair(tmp_path / "base", tmp_path / "tuned")
    found = read_pair(sae, pair.select(points=[PLACE]), match_norms=False, size=7)
    assert found.scales == (1, 1)
    for firings, part in zip(found[:2], both, strict=True):
        torch.testing.assert_close(dense(firings), encode(sae, part[1]))
    plain = read_pair(sae, (both[0, 1:], both[1, 1:]), match_norms=False)
    torch.testing.assert_close(plain.tuned.strengths, found.tuned.strengths)
    with pytest.raises(UserError, match="one hook point, the pair has 2"):
        read_pair(sae, pair)


def test_a_model_of_another_size_is_read_at_the_size_the_sae_knows(sae):
    rows = torch.randn(1, 50, 8)
    of_base = read_pair(sae, (rows, rows / 15), size=20)
    of_tuned = read_pair(sae, (rows / 15, rows), trained_on="tuned", size=20)
    assert of_base.scales == pytest.approx((1, 15))
    assert of_tuned.scales == pytest.approx((15, 1))
    for firings in (*of_base[:2], *of_tuned[:2]):
        torch.testing.assert_close(dense(firings), encode(sae, rows[0]), rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="activations of tuned are all zero"):
        read_pair(sae, (rows, rows * 0))
    with pytest.raises(UserError, match="rows of activations, got none"):
        read_pair(sae, (rows[:, :0], rows[:, :0]))


@pytest.mark.parametrize("bad", [-0.1, torch.nan, torch.inf])
def test_what_is_no_strength_is_refused(bad):
    rows = torch.rand(3, 2)
    rows[1, 1] = bad
    with pytest.raises(UserError, match="none negative, NaN or infinite"):
        Firings.of(rows)


def test_none_is_refused():
    with pytest.raises(UserError, match="got none"):
        Firings.of(torch.empty(0, 2))
    with pytest.raises(UserError, match="from 0 to 1, got 2"):
        Firings.of(torch.rand(3, 2)).column(2)


@pytest.mark.parametrize("skip", [0, 1])
def test_texts_are_read_token_by_token(skip):
    checkpoint = toy_checkpoint()
    sae = word_sae(checkpoint, [{"so": 1.0, "a": 0.5}, {"3": 3.0}, {"<bos>": 7.0}])
    found = read_texts(sae, checkpoint, ["a so 3", "so", "a a b b"], POINT, skip=skip)
    own = checkpoint.encode(["a so 3", "so", "a a b b"])
    assert found.tokens.tolist() == [i for ids in own for i in ids[skip:]]
    assert found.texts.bincount().tolist() == [len(ids) - skip for ids in own]
    bos = 7.0 * (skip == 0)
    strongest = torch.tensor([[1, 3, bos], [1, 0, bos], [0.5, 0, bos]])
    torch.testing.assert_close(found.strongest(), strongest)
    louder = read_texts(sae, checkpoint, ["a so 3", "so", "a a b b"], POINT, skip=skip, scale=2.0)
    torch.testing.assert_close(louder.strongest(), 2 * strongest)


def test_many_texts_are_read_in_parts():
    lengths = [TOKENS + 5, 1, TOKENS // 2, TOKENS // 2, 1]
    parts = _parts([[0] * length for length in lengths])
    assert [[len(ids) for ids in part] for part in parts] == [
        [TOKENS + 5], [1, TOKENS // 2], [TOKENS // 2, 1]
    ]  # fmt: skip


def test_texts_that_do_not_fit_are_refused():
    checkpoint = toy_checkpoint()
    sae = word_sae(checkpoint, [{"so": 1.0}])
    with pytest.raises(UserError, match=r"trained at blocks\.0\.hook_resid_pre, not at blocks\.1"):
        read_texts(sae, checkpoint, ["a"], PLACE)
    with pytest.raises(UserError, match="expected texts, got none"):
        read_texts(sae, checkpoint, [], POINT)
    with pytest.raises(UserError, match="text 1 has 2 tokens: nothing is left when 2"):
        read_texts(sae, checkpoint, ["a b", "a"], POINT, skip=2)
    firings = Firings.of(torch.rand(3, 2))
    with signatures_unchecked(), pytest.raises(UserError, match="each of 3 rows, got 2 and 3"):
        TextFirings(firings, torch.zeros(2, dtype=torch.long), torch.zeros(3, dtype=torch.long))
    with pytest.raises(UserError, match="ascending"):
        TextFirings(firings, torch.zeros(3, dtype=torch.long), torch.tensor([0, 1, 0]))
