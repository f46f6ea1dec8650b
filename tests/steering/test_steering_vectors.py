"""Steering vectors in closed form."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from activations.errors import UserError
from steering import checkpoint_delta, difference_of_means, mean_norm, random_directions, unit
from tests.unchecked import signatures_unchecked


def test_difference_of_means_by_hand():
    positive = torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [2.0, 0.0]]])
    negative = torch.tensor([[[1.0, 1.0]], [[5.0, -1.0]]])
    assert difference_of_means(positive, negative).tolist() == [[1.0, 3.0], [-4.0, 1.0]]


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_difference_of_means_turns_with_its_sides_and_ignores_a_common_shift(layers, n, m, seed):
    generator = torch.Generator().manual_seed(seed)
    positive, negative = (torch.randn(layers, rows, 5, generator=generator) for rows in (n, m))
    found = difference_of_means(positive, negative)
    torch.testing.assert_close(difference_of_means(negative, positive), -found)
    torch.testing.assert_close(difference_of_means(positive + 3, negative + 3), found, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0)])
def test_a_side_without_activations_is_refused(n, m):
    with pytest.raises(UserError, match=f"got {n} positive and {m} negative"):
        difference_of_means(torch.zeros(2, n, 4), torch.zeros(2, m, 4))


def test_checkpoint_delta_is_the_mean_of_what_changed():
    weaker = torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(0))
    shift = torch.arange(18.0).reshape(3, 1, 6)
    wobble = torch.tensor([1.0, -1.0] * 10)[None, :, None]
    torch.testing.assert_close(checkpoint_delta(weaker + shift + wobble, weaker), shift[:, 0])


def test_a_checkpoint_delta_of_different_places_is_refused():
    with signatures_unchecked(), pytest.raises(UserError, match=r"got \[2, 5, 4\] and \[2, 6, 4\]"):
        checkpoint_delta(torch.zeros(2, 5, 4), torch.zeros(2, 6, 4))


def test_random_directions_are_uniform_on_the_sphere_and_hang_on_the_seed():
    directions = random_directions(4000, 8, seed=3)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(4000))
    assert directions.mean(0).abs().max() < 0.02
    # On the sphere each coordinate has variance 1 / d, and no two go together.
    torch.testing.assert_close(directions.T @ directions / 4000, torch.eye(8) / 8, atol=0.01, rtol=0)
    assert torch.equal(directions, random_directions(4000, 8, seed=3))
    assert not torch.equal(directions, random_directions(4000, 8, seed=4))


def test_unit_keeps_the_way_and_leaves_zero_alone():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-3]])
    torch.testing.assert_close(unit(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]))


def test_mean_norm_is_the_mean_of_norms_and_not_the_norm_of_the_mean():
    activations = torch.tensor([[[3.0, 4.0], [-3.0, -4.0]], [[0.0, 1.0], [0.0, 3.0]]])
    assert mean_norm(activations).tolist() == [5.0, 2.0]
