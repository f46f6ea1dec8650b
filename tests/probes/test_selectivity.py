"""Probes beside their controls, against the same fits done one at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unchecked import signatures_unchecked
from undertext.activations.errors import UserError
from undertext.probes import (
    Labelled,
    LogisticProbe,
    LogisticProbeCV,
    LowRankProbe,
    Surface,
    against_control_task,
    against_features,
    against_shuffled,
    control_labels,
)


def quick() -> LogisticProbe:
    return LogisticProbe(C=0.1)


def coded(keys: torch.Tensor, code: torch.Tensor, noise: float, seed: int) -> torch.Tensor:
    """The code of each row's key, and noise."""
    generator = torch.Generator().manual_seed(seed)
    return code[keys] + noise * torch.randn(len(keys), code.shape[1], generator=generator)


def test_a_memorising_probe_is_right_and_not_selective():
    # More features than keys: whatever labels keys have, a linear probe has room to learn them by heart.
    generator = torch.Generator().manual_seed(0)
    code, label = torch.randn(60, 120, generator=generator), torch.randint(2, (60,), generator=generator)
    keys = [torch.randint(60, (n,), generator=generator) for n in (600, 300)]
    fit, read = (Labelled(coded(k, code, 0.1, i), label[k]) for i, k in enumerate(keys))
    found = against_control_task(fit, read, keys[0].tolist(), keys[1].tolist())
    assert found.accuracy > 0.97
    assert abs(found.selectivity) < 0.03
    assert found.seen is not None
    assert found.seen.all()


def test_a_planted_direction_is_read_selectively():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(1200) % 2
    X = torch.randn(2, 1200, 16, generator=generator)
    X[1, :, 3] += 4.0 * y
    keys = torch.randint(200, (1200,), generator=generator).tolist()
    rows = Labelled(X, y)
    fit, read = rows.take(torch.arange(800)), rows.take(torch.arange(800, 1200))
    found = against_control_task(fit, read, keys[:800], keys[800:])
    assert found.correct.shape == (2, 400)
    assert found.control_correct.shape == (2, 3, 400)
    assert found.selectivity[1] > 0.4
    assert abs(found.selectivity[0]) < 0.08
    shuffled = against_shuffled(fit, read)
    assert shuffled.accuracy[1] > 0.95
    # Reversed labels, and not only chance, may come out of a draw along so strong a direction.
    assert shuffled.control_accuracy[1].mean() < 0.8


@pytest.mark.parametrize("targets", [(), (3,)])
@pytest.mark.parametrize("recipe", [quick, lambda: LogisticProbeCV(Cs=(0.01, 0.1), cv=3)])
def test_all_arms_are_what_they_would_be_fitted_alone(targets, recipe):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(2, 150, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(-1, 2, (150, *targets), generator=generator)
    keys = torch.randint(12, (150,), generator=generator).tolist()
    rows = Labelled(X, y, torch.arange(150) // 3)
    fit, read = rows.take(torch.arange(90)), rows.take(torch.arange(90, 150))
    found = against_control_task(fit, read, keys[:90], keys[90:], recipe=recipe, seeds=(5, 6))
    for target in range(3 if targets else 1):
        labels = y[:, target] if targets else y
        at = (slice(None), target) if targets else (slice(None),)
        one = Labelled(X, labels, rows.problem)
        own = against_shuffled(
            one.take(torch.arange(90)), one.take(torch.arange(90, 150)), recipe=recipe, seeds=(0,)
        )
        assert torch.equal(found.correct[at], own.correct)
        drawn = control_labels(keys, labels[:90], seed=5 * (3 if targets else 1) + target)
        probe = recipe()
        groups = {"groups": rows.problems[:90]} if isinstance(probe, LogisticProbeCV) else {}
        probe.fit(X[:, :90], drawn[:90], **groups)
        assert torch.equal(found.control_correct[at][:, 0], probe.predict(X[:, 90:]) == drawn[90:])


@settings(max_examples=25)
@given(st.lists(st.integers(0, 7), min_size=12, max_size=40), st.integers(0, 9), st.booleans())
def test_shuffling_keeps_what_is_alike_in_a_problem_together(problems, seed, alike):
    problem = torch.tensor([*problems, 0, 1])
    y = problem % 2 if alike else torch.arange(len(problem)) % 2
    seen = []

    class Recording(LogisticProbe):
        def fit(self, X, y, sample_weight=None):
            seen.append(y)
            return super().fit(X, y[:, :1].expand_as(y), sample_weight)  # a draw may show one class

    rows = Labelled(torch.randn(len(y), 2), y, problem)
    against_shuffled(rows, rows, recipe=Recording, seeds=(seed,))
    task, drawn = seen[0].T
    assert torch.equal(task, y)
    constant = {(p, v) for p, v in zip(problem.tolist(), drawn.tolist(), strict=True)}
    if bool((y == (problem % 2)).all()):
        assert len(constant) == len(set(problem.tolist()))
    else:
        assert sorted(drawn.tolist()) == sorted(y.tolist())


def test_the_surface_and_random_init_read_beside_the_probe():
    generator = torch.Generator().manual_seed(2)
    texts = [torch.randint(5, (6,), generator=generator).tolist() for _ in range(400)]
    y = torch.tensor([text[-1] % 2 for text in texts])  # the surface shows all of it
    X = torch.randn(3, 400, 8, generator=generator)
    X[2, :, 0] += 6 * y
    surface = Surface(texts[:250])
    features = surface.features(texts)
    rows = Labelled(X, y)
    fit, read = rows.take(torch.arange(250)), rows.take(torch.arange(250, 400))
    shown = [features[:, part] for part in surface.parts.values()]
    found = against_features(fit, read, [(each[:250], each[250:]) for each in [features, *shown]])
    assert found.control_correct.shape == (3, 4, 150)
    assert (found.control_accuracy[:, [0, 2]] == 1).all()
    assert (found.control_accuracy[:, 3] < 0.7).all()
    assert found.selectivity.shape == (3,)
    noise = torch.randn(2, 3, 400, 8, generator=generator)
    inits = against_features(fit, read, [(each[:, :250], each[:, 250:]) for each in noise], recipe=quick)
    for draw, each in enumerate(noise):
        wanted = quick().fit(each[:, :250], y[:250]).predict(each[:, 250:]) == y[250:]
        assert torch.equal(inits.control_correct[:, draw], wanted)
    assert inits.accuracy[2] - inits.control_accuracy[2].mean() > 0.3
    torch.testing.assert_close(inits.selectivity, inits.accuracy - inits.control_accuracy.mean(-1))


def test_parts_of_the_surface_are_all_its_columns():
    surface = Surface([[1, 2, 2], [3]], window=2, vocabulary=2)
    columns = [i for part in surface.parts.values() for i in range(20)[part]]
    features = surface.features([[1, 2], [2]])
    assert columns == list(range(features.shape[1]))
    assert features[:, surface.parts["length"]].tolist() == [[2], [1]]
    assert features[:, surface.parts["bag"]].sum(1).tolist() == [2, 1]


def test_mistakes_are_named():
    rows = Labelled(torch.randn(10, 3), torch.arange(10) % 2)
    with pytest.raises(UserError, match="a key for each of 10 rows, got 9"):
        against_control_task(rows, rows, list(range(10)), list(range(9)))
    with pytest.raises(UserError, match="one class alone: the fitted rows have 1 distinct keys"):
        against_control_task(rows, rows, [0] * 10, [0] * 10)
    with pytest.raises(UserError, match="features to compare with, got none"):
        against_features(rows, rows, [])
    with pytest.raises(UserError, match=r"slices \[\] or none, got \[2, 10, 3\] and \[2, 10, 3\]"):
        against_features(rows, rows, [(torch.randn(2, 10, 3), torch.randn(2, 10, 3))])
    with signatures_unchecked(), pytest.raises(UserError, match=r"labels \[n\] of one target"):
        against_shuffled(rows, rows, recipe=LowRankProbe)
    with signatures_unchecked(), pytest.raises(UserError, match="a problem for each row"):
        Labelled(torch.randn(10, 3), torch.arange(10), torch.arange(9))
    with signatures_unchecked(), pytest.raises(UserError, match="expected activations"):
        Labelled(torch.randn(10, 3), torch.arange(9))
