"""Steering vectors in closed form."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from undertext.activations.errors import UserError
from undertext.steering import (
    at_layers,
    difference_of_means,
    mean_norm,
    principal_difference,
    unit,
)


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


def test_unit_keeps_the_way_and_leaves_zero_alone():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-3]])
    torch.testing.assert_close(unit(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]))


def test_mean_norm_is_the_mean_of_norms_and_not_the_norm_of_the_mean():
    activations = torch.tensor([[[3.0, 4.0], [-3.0, -4.0]], [[0.0, 1.0], [0.0, 3.0]]])
    assert mean_norm(activations).tolist() == [5.0, 2.0]


def pairs(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs that differ along one direction, now more, now less, with noise."""
    generator = torch.Generator().manual_seed(seed)
    negative = torch.randn(3, n, 6, generator=generator)
    along = torch.randn(3, 1, 6, generator=generator)
    size = 1 + 2 * torch.rand(3, n, 1, generator=generator)
    return negative + size * along + 0.1 * torch.randn(3, n, 6, generator=generator), negative


@given(st.integers(2, 12), st.integers(0, 99), st.booleans())
def test_the_principal_difference_is_scikit_learns(n, seed, centred):
    positive, negative = pairs(n, seed)
    found = principal_difference(positive, negative, centred=centred)
    for layer in range(3):
        differences = (positive - negative)[layer].double().numpy()
        taken = differences if centred else [*differences, *-differences]
        wanted = torch.tensor(PCA(n_components=1).fit(taken).components_[0]).float()
        assert (found[layer] @ wanted).abs() > 0.9999
        assert found[layer].norm() == pytest.approx(1)
        # Positive examples project higher.
        assert (positive[layer] @ found[layer]).mean() >= (negative[layer] @ found[layer]).mean() - 1e-5
    torch.testing.assert_close(principal_difference(negative, positive, centred=centred), -found)


def test_centring_loses_a_shift_that_all_pairs_share():
    negative = torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(0))
    wobble = torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(1)) * torch.tensor([0, 0.1, 0, 0])
    positive = negative + torch.tensor([5.0, 0, 0, 0]) + wobble
    assert principal_difference(positive, negative)[0, 0] > 0.99
    assert principal_difference(positive, negative, centred=True)[0, 1].abs() > 0.99


def test_principal_differences_need_pairs_that_differ():
    same = torch.ones(2, 4, 3)
    with pytest.raises(UserError, match="the pairs do not differ at layer 0"):
        principal_difference(same, same)
    with pytest.raises(UserError, match="the pairs do not differ in their differences at layer 0"):
        principal_difference(same + 1, same, centred=True)
    with pytest.raises(UserError, match=r"need 2 or more pairs, got \[2, 1, 3\]"):
        principal_difference(same[:, :1], same[:, 1:2], centred=True)
    for pairs in range(2, 40):  # of some numbers of pairs the mean is off in the last bit
        odd = torch.tensor([0.1, 1 / 3, 7 / 9], dtype=torch.float64).expand(1, pairs, 3)
        with pytest.raises(UserError, match="do not differ in their differences"):
            principal_difference(odd, torch.zeros_like(odd), centred=True)


@given(st.floats(-30, 30), st.integers(0, 99))
def test_a_direction_is_placed_at_length_1_whatever_its_size(power, seed):
    direction = torch.randn(6, generator=torch.Generator().manual_seed(seed))
    placed = at_layers(direction * 10**power, [2, 0], 4)
    assert not placed[[1, 3]].any()
    torch.testing.assert_close(placed[0], unit(direction[None])[0])
    assert torch.equal(placed[0], placed[2])


@pytest.mark.parametrize("bad", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_direction_that_is_none_is_refused(bad):
    with pytest.raises(UserError, match="finite and not zero"):
        at_layers(torch.tensor(bad), [0], 2)


@pytest.mark.parametrize("layers", [[], [2], [-1]])
def test_a_direction_is_placed_at_layers_that_are_there(layers):
    with pytest.raises(UserError, match="expected layers from 0 to 1"):
        at_layers(torch.ones(3), layers, 2)
