"""Random directions and shuffled labels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from undertext.activations.errors import UserError
from undertext.steering import difference_of_means, random_directions, shuffled_labels


def test_random_directions_are_uniform_on_the_sphere_and_hang_on_the_seed():
    directions = random_directions(4000, 8, seed=3)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(4000))
    assert directions.mean(0).abs().max() < 0.02
    # On the sphere each coordinate has variance 1 / d, and no two go together.
    torch.testing.assert_close(directions.T @ directions / 4000, torch.eye(8) / 8, atol=0.01, rtol=0)
    assert torch.equal(directions, random_directions(4000, 8, seed=3))
    assert not torch.equal(directions, random_directions(4000, 8, seed=4))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_shuffling_labels_keeps_the_activations_and_the_sides_sizes(n, m, seed):
    positive = torch.arange(float(2 * n)).reshape(2, n, 1)
    negative = 100 + torch.arange(float(2 * m)).reshape(2, m, 1)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def recipe(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        seen.append((one, other))
        return difference_of_means(one, other)

    first, second = (shuffled_labels(recipe, positive, negative, seed=seed) for _ in range(2))
    assert torch.equal(first, second)
    (one, other), _ = seen
    assert (one.shape, other.shape) == (positive.shape, negative.shape)
    pooled, original = torch.cat([one, other], 1), torch.cat([positive, negative], 1)
    assert torch.equal(pooled.sort(1).values, original.sort(1).values)
    # The same ones are positive at both layers.
    rank = [[original[layer, :, 0].tolist().index(x) for x in one[layer, :, 0].tolist()] for layer in (0, 1)]
    assert rank[0] == rank[1]


def test_shuffled_labels_hang_on_the_seed_and_hold_no_difference_on_average():
    generator = torch.Generator().manual_seed(0)
    positive, negative = (
        torch.randn(2, 40, 6, generator=generator) + 3,
        torch.randn(2, 30, 6, generator=generator),
    )
    made = torch.stack(
        [shuffled_labels(difference_of_means, positive, negative, seed=seed) for seed in range(300)]
    )
    assert len({tuple(each.flatten().tolist()) for each in made}) == 300
    assert made.mean(0).abs().max() < 0.15
    assert difference_of_means(positive, negative).min() > 2


def test_a_recipes_refusal_is_passed_on():
    with pytest.raises(UserError, match="got 0 positive and 3 negative"):
        shuffled_labels(difference_of_means, torch.zeros(1, 0, 2), torch.zeros(1, 3, 2), seed=0)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (30, 60)])
def test_balanced_shuffles_keep_nothing_of_the_true_difference(n, m):
    """Activations that differ by their label alone: plain draws point along it, balanced ones nowhere."""
    positive, negative = torch.ones(2, n, 3), torch.zeros(2, m, 3)
    plain, balanced = (
        [
            shuffled_labels(difference_of_means, positive, negative, seed=seed, balanced=each)
            for seed in range(20)
        ]
        for each in (False, True)
    )
    assert max(float(each.abs().max()) for each in plain) > 0.1
    assert max(float(each.abs().max()) for each in balanced) < 1e-6
    # Where they differ in other ways as well, another draw is another vector.
    noise = torch.randn(2, n + m, 3, generator=torch.Generator().manual_seed(0))
    first, second = (
        shuffled_labels(difference_of_means, noise[:, :n], noise[:, n:], seed=seed, balanced=True)
        for seed in (0, 1)
    )
    assert not torch.allclose(first, second)
