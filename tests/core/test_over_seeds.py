"""Intervals over models and problems: coverage where the truth is known, and what is refused."""

import numpy as np
import pytest

from undertext.activations.errors import UserError
from undertext.core.over_seeds import over_seeds
from undertext.core.statistics import only, share

TRUTH = 0.3


def drawn(rng: np.random.Generator, models: int, between: float, problems: int = 20) -> list[np.ndarray]:
    """Models whose own means differ by `between`, and problems that differ by 0.4 about each."""
    return [rng.normal(TRUTH + rng.normal(0, between), 0.4, size=(problems, 1)) for _ in range(models)]


@pytest.mark.parametrize(("models", "between"), [(3, 0.0), (3, 0.1), (3, 0.5), (8, 0.1), (8, 0.5)])
def test_the_interval_holds_the_truth_as_often_as_it_says(models, between):
    rng = np.random.default_rng(models)
    times = 120
    found = [over_seeds(only, drawn(rng, models, between), seed=i) for i in range(times)]
    # 0.95 less three standard errors of so many trials; where models do not differ it holds it oftener.
    assert (
        sum(each.low <= TRUTH <= each.high for each in found) / times
        > 0.95 - 3 * (0.95 * 0.05 / times) ** 0.5
    )


def test_problems_alone_would_be_far_too_sure():
    rng = np.random.default_rng(0)
    times, hits = 50, 0
    for i in range(times):
        models = drawn(rng, 3, 0.5)
        pooled = np.concatenate(models)
        half = 1.96 * pooled.std() / len(pooled) ** 0.5
        hits += abs(pooled.mean() - TRUTH) < half
        over = over_seeds(only, models, seed=i)
        assert over.high - over.low > 2 * half
    assert hits / times < 0.6


def test_models_weigh_alike_whatever_their_number_of_problems():
    found = over_seeds(only, [np.zeros((10, 1)), np.ones((990, 1))], seed=0)
    assert found.value == 0.5
    assert found.n == 1000


def test_conditions_of_a_problem_stay_together():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(80, 1))
    models = [np.concatenate([base, base + 0.5], 1) for _ in range(3)]
    found = over_seeds(lambda means: means[..., 1] - means[..., 0], models, seed=0)
    assert found.low == pytest.approx(0.5)
    assert found.high == pytest.approx(0.5)


def test_a_share_that_is_never_finite_has_no_bounds():
    models = [np.ones((5, 3)) for _ in range(3)]
    found = over_seeds(share, models, seed=0)
    assert np.isnan(found.value)
    assert (found.low, found.high) == (float("-inf"), float("inf"))


def test_the_same_seed_gives_the_same_interval():
    models = drawn(np.random.default_rng(1), 3, 0.2)
    assert over_seeds(only, models, seed=4) == over_seeds(only, models, seed=4)
    assert over_seeds(only, models, seed=4) != over_seeds(only, models, seed=5)


@pytest.mark.parametrize(
    ("models", "said"), [([np.ones((3, 1))], "2 models"), ([np.ones((3, 1)), np.ones((0, 1))], "without any")]
)
def test_too_little_is_refused(models, said):
    with pytest.raises(UserError, match=said):
        over_seeds(only, models, seed=0)
