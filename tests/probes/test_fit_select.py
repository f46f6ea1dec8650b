"""Strength and layer of a reading are chosen on the choosing set, and by nothing else."""

import torch

from undertext.probes import LogisticProbe, fit_select


def labels(n: int, seed: int) -> torch.Tensor:
    return torch.randint(2, (n,), generator=torch.Generator().manual_seed(seed))


def layer(y: torch.Tensor, strength: float, seed: int, d: int = 4) -> torch.Tensor:
    """Noise, with the label in the first feature as strongly as said."""
    X = torch.randn(len(y), d, generator=torch.Generator().manual_seed(seed))
    X[:, 0] += strength * (2.0 * y - 1)
    return X


def test_the_layer_is_the_choosing_sets_though_train_prefers_another():
    y, y_choose, y_test = labels(300, 0), labels(200, 1), labels(200, 2)
    X = torch.stack([layer(y, 1.0, 3), layer(y, 9.0, 4), layer(y, 0.0, 5)])
    # The second layer tells all on train and nothing later on; the first one always something.
    X_choose = torch.stack([layer(y_choose, 1.0, 6), layer(y_choose, 0.0, 7), layer(y_choose, 0.0, 8)])
    X_test = torch.stack([layer(y_test, 1.0, 9), layer(y_test, 9.0, 10), layer(y_test, 0.0, 11)])
    assert LogisticProbe(C=0.3).fit(X, y).score(X, y).argmax() == 1
    found = fit_select(X, y, X_choose, y_choose)
    assert found.layer == 0
    torch.testing.assert_close(found.accuracy, found.correct(X_choose, y_choose).float().mean(1))
    assert found.correct(X_test, y_test)[1].all()
    assert not found.correct(X_test, 1 - y_test)[1].any()


def test_each_layer_has_the_strength_that_reads_the_choosing_set_best():
    y, y_choose = labels(40, 0), labels(4000, 1)
    # Many noisy features: where the signal is weak the penalty helps, where it is strong it hurts.
    X = torch.stack([layer(y, 1.0, 2, d=60), layer(y, 5.0, 3, d=60)])
    X_choose = torch.stack([layer(y_choose, 1.0, 4, d=60), layer(y_choose, 5.0, 5, d=60)])
    strengths = (30.0, 0.001, 0.1)
    found = fit_select(X, y, X_choose, y_choose, strengths=strengths)
    fits = {C: LogisticProbe(C=C).fit(X, y) for C in strengths}
    scores = torch.stack([fits[C].score(X_choose, y_choose) for C in sorted(strengths)])
    best, others = scores.topk(2, dim=0).values
    assert (best > others + 0.002).all()  # by eight rows or more: one on the border does not tell
    assert found.strengths.tolist() == torch.tensor([0.1, 30.0]).tolist()
    assert [sorted(strengths)[k] for k in scores.argmax(0).tolist()] == [0.1, 30.0]
    torch.testing.assert_close(found.accuracy, best, rtol=0, atol=2e-3)
    for i, C in enumerate((0.1, 30.0)):
        # Both ways of fitting end within 1e-8 nats a row of the least loss, whose curvature is 1 / (C n) at
        # least: weights are then within sqrt(2 * 1e-8 * C n) of the best, 5e-3 at C = 30, and twice that of
        # each other.
        atol = 2 * (2e-8 * C * 40) ** 0.5
        torch.testing.assert_close(found.probe.coef_[i], fits[C].coef_[i], rtol=0, atol=atol)
        torch.testing.assert_close(found.probe.intercept_[i], fits[C].intercept_[i], rtol=0, atol=5 * atol)


def test_equals_go_to_the_strongest_penalty_and_the_earliest_layer():
    y = labels(60, 0)
    X = torch.stack([layer(y, 50.0, seed) for seed in (1, 2, 3)])
    found = fit_select(X, y, X, y, strengths=(1.0, 0.1, 10.0))
    assert found.accuracy.tolist() == [1.0, 1.0, 1.0]
    assert found.strengths.tolist() == torch.tensor([0.1, 0.1, 0.1]).tolist()
    assert found.layer == 0


def test_a_label_that_was_never_fitted_is_never_read_right():
    y = labels(60, 0)
    X = torch.stack([layer(y, 50.0, 1)])
    unseen = torch.where(torch.arange(60) < 30, y, -1)
    found = fit_select(X, y, X, unseen)
    assert found.accuracy.tolist() == [0.5]
    assert found.correct(X, unseen)[0].tolist() == [True] * 30 + [False] * 30
