"""Which latents are active, against torch.topk over everything."""

import hypothesis
import hypothesis.strategies as st
import pytest
import torch

from undertext.saes import active
from undertext.saes.active import Active, batch_top_k, top_k


def dense(found: Active, shape):
    matrix = torch.zeros(shape)
    matrix[found.rows(), found.latents] = found.scores
    return matrix


def kept(scores, count):
    """The `count` largest of each row of `scores`, and zero for the rest and for what is negative."""
    best = scores.topk(count, dim=-1)
    return torch.zeros_like(scores).scatter(-1, best.indices, best.values.relu())


sizes = st.tuples(st.integers(1, 40), st.integers(1, 60)).flatmap(
    lambda shape: st.tuples(st.just(shape), st.integers(1, shape[1]), st.integers(0, 10**6), st.floats(-2, 2))
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(active, "CHUNK", 7)
    monkeypatch.setattr(active, "SAMPLE_ROWS", 3)


@hypothesis.given(sizes)
def test_the_largest_of_each_row(drawn):
    shape, k, seed, shift = drawn
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + shift
    found = top_k(lambda rows: scores[rows], shape[0], k)
    assert torch.equal(dense(found, shape), kept(scores, k))
    assert (found.scores > 0).all()
    assert_sorted(found, shape)


@hypothesis.given(sizes, st.floats(1, 8))
def test_the_largest_of_the_batch(drawn, spread):
    shape, k, seed, shift = drawn
    noise = torch.Generator().manual_seed(seed)
    # Rows of very different size: a bound from a few of them may be far off.
    scores = (torch.randn(shape, generator=noise) + shift) * torch.rand(
        shape[0], 1, generator=noise
    ) ** spread
    total = k * shape[0]
    found = batch_top_k(lambda rows: scores[rows], shape[0], total)
    assert torch.equal(dense(found, shape), kept(scores.flatten(), total).view(shape))
    assert_sorted(found, shape)


def assert_sorted(found, shape):
    flat = found.rows() * shape[1] + found.latents
    assert (flat.diff() > 0).all()
    assert len(found.starts) == shape[0] + 1
    assert found.starts[-1] == len(found.scores)


def test_ties_do_not_make_more_of_them():
    scores = torch.ones(5, 20)
    assert (top_k(lambda rows: scores[rows], 5, 3).starts.diff() == 3).all()
    assert len(batch_top_k(lambda rows: scores[rows], 5, 15).scores) == 15


def test_nothing_positive_is_nothing_active():
    scores = -torch.ones(4, 6)
    for found in (top_k(lambda rows: scores[rows], 4, 2), batch_top_k(lambda rows: scores[rows], 4, 8)):
        assert len(found.scores) == 0
        assert found.starts.tolist() == [0] * 5
