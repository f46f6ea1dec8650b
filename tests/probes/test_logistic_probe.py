"""The probe against scikit-learn's own answer, in float64 and converged."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from activations.errors import UserError
from probes import LogisticProbe
from tests.unchecked import signatures_unchecked

TIGHT: dict[str, Any] = {"tol": 1e-10, "max_iter": 20_000}


def drawn(n: int, d: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different scales and means, and labels that hang on two of them, noisily."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.01, 50, d) + 10 * rng.normal(size=d)
    Z = StandardScaler().fit_transform(X)
    scores = rng.normal(size=(2, classes))
    y = (Z[:, :2] @ scores + rng.gumbel(size=(n, classes))).argmax(1)
    y[:classes] = range(classes)
    return X, y


def reference(X: np.ndarray, y: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's coefficients and logits on the training rows, features standardised."""
    scaler = StandardScaler().fit(X)
    fitted = LogisticRegression(C=C, tol=1e-12, max_iter=100_000).fit(scaler.transform(X), y)
    return fitted.coef_ / scaler.scale_, fitted.decision_function(scaler.transform(X))


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-3) -> None:
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def differences(probe: LogisticProbe, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and logits as scikit-learn has them: of two classes, the second's less the first's."""
    coefficients = probe.coef_[0].numpy()
    logits = probe.decision_function(torch.from_numpy(X)[None])[0].numpy()
    if len(probe.classes_) > 2:
        return coefficients, logits
    return coefficients[1:] - coefficients[:1], logits[:, 1] - logits[:, 0]


@settings(max_examples=25)
@given(
    st.integers(12, 80),
    st.integers(1, 30),
    st.integers(2, 5),
    st.sampled_from([1e-3, 0.1, 1.0, 30.0]),
    st.integers(0, 99),
)
def test_coefficients_and_logits_are_scikit_learns(n, d, classes, C, seed):
    X, y = drawn(n, d + 1, classes, seed)
    probe = LogisticProbe(C=C, **TIGHT).fit(torch.from_numpy(X)[None], torch.from_numpy(y))
    for found, wanted in zip(differences(probe, X), reference(X, y, C), strict=True):
        close(found, wanted)


def test_it_reads_new_rows_as_scikit_learn_does():
    (X, y), (X_new, _) = drawn(200, 12, 4, 0), drawn(300, 12, 4, 1)
    probe = LogisticProbe(C=0.3, **TIGHT).fit(torch.from_numpy(X)[None], torch.from_numpy(y))
    scaler = StandardScaler().fit(X)
    wanted = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000).fit(scaler.transform(X), y)
    new = torch.from_numpy(X_new)[None]
    assert probe.predict(new)[0].tolist() == wanted.predict(scaler.transform(X_new)).tolist()
    close(probe.predict_proba(new)[0].numpy(), wanted.predict_proba(scaler.transform(X_new)), 1e-4)
    shown = wanted.predict(scaler.transform(X_new))
    assert probe.score(new, torch.from_numpy(shown)).tolist() == [1.0]
    assert probe.score(new, torch.from_numpy((shown + 1) % 4)).tolist() == [0.0]


def test_slices_fitted_together_are_those_fitted_alone():
    # Of scales and difficulties so different that they converge at different steps.
    slices = [drawn(90, 8, 3, seed)[0] * scale for seed, scale in enumerate([1.0, 100.0, 0.01, 1.0])]
    y = torch.from_numpy(drawn(90, 8, 3, 0)[1])
    X = torch.from_numpy(np.stack(slices))
    X[3] = torch.nn.functional.one_hot(y, 8) + 0.01 * X[3]
    together = LogisticProbe(C=3.0, **TIGHT).fit(X, y)
    for i in range(len(X)):
        alone = LogisticProbe(C=3.0, **TIGHT).fit(X[i : i + 1], y)
        torch.testing.assert_close(together.coef_[i], alone.coef_[0], rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(together.intercept_[i], alone.intercept_[0], rtol=1e-5, atol=1e-8)


def test_constant_features_get_nothing_and_copies_share():
    X, y = drawn(120, 4, 3, 2)
    wide = np.concatenate([X, np.full((120, 1), 7.0), X[:, :1], -2 * X[:, :1]], 1)
    probe = LogisticProbe(C=0.5, **TIGHT).fit(torch.from_numpy(wide)[None], torch.from_numpy(y))
    coefficients = probe.coef_[0].numpy()
    assert np.abs(coefficients[:, 4]).max() < 1e-9 * np.abs(coefficients).max()
    # Three copies of a standardised feature under one penalty: equal weights, but for scale and sign.
    np.testing.assert_allclose(coefficients[:, 5], coefficients[:, 0], rtol=1e-4)
    np.testing.assert_allclose(-2 * coefficients[:, 6], coefficients[:, 0], rtol=1e-4)
    varying = np.delete(wide, 4, axis=1)
    close(np.delete(coefficients, 4, axis=1), reference(varying, y, 0.5)[0])


@pytest.mark.parametrize("C", [0.3, 100.0])
@pytest.mark.parametrize("n", [30, 400])
def test_float32_stands_degenerate_features(C, n):
    generator = torch.Generator().manual_seed(0)
    X = 1e3 + torch.randn(2, n, 64, generator=generator)
    X[..., 1] = X[..., 0]
    X[..., 2] = 5e3
    y = (X[0, :, 3] > 1e3).long()
    probe = LogisticProbe(C=C).fit(X, y)
    assert probe.coef_.isfinite().all()
    assert probe.score(X, y)[0] > 0.95


def test_separable_classes_are_read_without_a_mistake_and_stay_finite():
    X = torch.linspace(-3, 3, 40, dtype=torch.float64)[None, :, None]
    y = (X[0, :, 0] > 0.5).long()
    probe = LogisticProbe(C=1e3, **TIGHT).fit(X, y)
    assert probe.score(X, y).tolist() == [1.0]
    close(differences(probe, X[0].numpy())[0], reference(X[0].numpy(), y.numpy(), 1e3)[0])


def test_labels_may_be_any_integers():
    X, y = drawn(80, 6, 3, 3)
    names = torch.tensor([40, -7, 12])[torch.from_numpy(y)]
    probe = LogisticProbe().fit(torch.from_numpy(X)[None], names)
    assert probe.classes_.tolist() == [-7, 12, 40]
    assert (probe.predict(torch.from_numpy(X)[None])[0] == names).float().mean() > 0.4


def test_refitting_forgets():
    (X, y), (X_other, y_other) = drawn(60, 5, 3, 4), drawn(70, 9, 2, 5)
    probe = LogisticProbe(C=0.2).fit(torch.from_numpy(X)[None], torch.from_numpy(y))
    assert probe.fit(torch.from_numpy(X_other)[None], torch.from_numpy(y_other)) is probe
    fresh = LogisticProbe(C=0.2).fit(torch.from_numpy(X_other)[None], torch.from_numpy(y_other))
    for name in ("coef_", "intercept_", "classes_"):
        assert torch.equal(getattr(probe, name), getattr(fresh, name))
    assert (
        probe.get_params() == LogisticProbe(C=0.2).get_params() == {"C": 0.2, "tol": 1e-5, "max_iter": 2000}
    )


def test_directions_have_length_one_and_point_to_their_class():
    X, y = drawn(300, 6, 4, 6)
    stack = torch.from_numpy(np.stack([X, 3 * X]))
    probe = LogisticProbe().fit(stack, torch.from_numpy(y))
    direction = probe.direction_
    assert direction.shape == (2, 4, 6)
    torch.testing.assert_close(direction.norm(dim=-1), torch.ones(2, 4, dtype=torch.float64))
    for label in range(4):
        pushed = stack + 5 * direction[:, label][:, None]
        gain = probe.decision_function(pushed) - probe.decision_function(stack)
        over_mean = gain[..., label] - gain.mean(-1)
        # No other direction of that length would raise the class's logit over the mean as much.
        other = torch.randn(50, 2, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(label))
        other = stack + 5 * torch.nn.functional.normalize(other, dim=-1)
        gains = torch.stack([probe.decision_function(each) for each in other]) - probe.decision_function(
            stack
        )
        assert (gains[..., label] - gains.mean(-1) < over_mean).all()


@pytest.mark.parametrize(
    ("X", "y"), [((4, 3), (4,)), ((1, 4, 3), (5,)), ((1, 4, 3), (4, 1)), ((1, 1, 4, 3), (4,))]
)
def test_shapes_that_do_not_fit_are_named(X, y):
    with (
        signatures_unchecked(),
        pytest.raises(
            UserError, match=r"expected activations \[slice, n, d\] with labels \[n\], got"
        ) as caught,
    ):
        LogisticProbe().fit(torch.zeros(X), torch.zeros(y, dtype=torch.long))
    assert str(list(X)) in str(caught.value)
    assert str(list(y)) in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_are_refused(value):
    X = torch.zeros(2, 6, 3)
    X[1, 4, 2] = value
    with pytest.raises(UserError, match="NaN or infinity"):
        LogisticProbe().fit(X, torch.arange(6) % 2)


@pytest.mark.parametrize("n", [0, 6])
def test_one_class_is_refused(n):
    with pytest.raises(UserError, match=f"two classes or more .* in {n} labels"):
        LogisticProbe().fit(torch.zeros(2, n, 3), torch.full((n,), 4))
