"""Each kind of probe against scikit-learn, or the probe it is, its strength chosen where it should be."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from undertext.measures.decoding.config import DecodingConfig
from undertext.measures.decoding.kinds import KINDS
from undertext.probes import Labelled, LogisticProbeCV, LowRankProbe, folds_of

CONFIG = DecodingConfig(strengths=(0.3, 0.003, 0.03), seed=4)
CS = sorted(CONFIG.strengths)


@pytest.fixture(scope="module")
def rows() -> tuple[Labelled, Labelled]:
    """Four classes in two layers, the second of which tells them better; a problem has two rows."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(4, (200,), generator=generator) * 3
    code = torch.randn(4, 12, generator=generator)
    noise = torch.randn(2, 200, 12, generator=generator)
    X = code[y // 3] * torch.tensor([0.5, 1.2])[:, None, None] + noise * torch.linspace(0.5, 3, 12)
    all_rows = Labelled(X, y, torch.arange(200) // 2)
    return all_rows.take(torch.arange(140)), all_rows.take(torch.arange(140, 200))


def share(found: torch.Tensor, y: torch.Tensor) -> float:
    return float((found == y).double().mean())


def least_squares(X, y, C, read) -> torch.Tensor:
    scale = StandardScaler().fit(X)
    indicators = torch.nn.functional.one_hot(y // 3, 4).double()
    fit = Ridge(alpha=1 / C).fit(scale.transform(X), indicators)
    return torch.from_numpy(fit.predict(scale.transform(read)))


def test_ridge_is_least_squares_at_the_strength_that_reads_dev_best(rows):
    fit, dev = rows
    found = KINDS["ridge"](fit, dev, CONFIG)
    best = []
    for layer in range(2):
        scores = [share(3 * least_squares(fit.X[layer], fit.y, C, dev.X[layer]).argmax(1), dev.y) for C in CS]
        best.append(max(scores))
        C = CS[scores.index(max(scores))]
        assert float(found.strength[layer]) == pytest.approx(C)
        values = dev.X[layer] @ found.coef[layer].T + found.intercept[layer]
        expected = least_squares(fit.X[layer], fit.y, C, dev.X[layer])
        torch.testing.assert_close(values.double(), expected, rtol=1e-3, atol=1e-4)
    assert found.layer == best.index(max(best)) == 1
    assert found.classes.tolist() == [0, 3, 6, 9]


def test_ridge_cv_chooses_in_train_without_splitting_a_problem(rows):
    fit, dev = rows
    found = KINDS["ridge_cv"](fit, dev, CONFIG)
    fold = folds_of(140, 5, groups=fit.problem, seed=4)
    indicators = torch.nn.functional.one_hot(fit.y // 3, 4).double()
    for layer in range(2):
        scores = []
        for C in CS:
            of_fold = []
            for each in range(5):
                held = fold == each
                values = least_squares(fit.X[layer][~held], fit.y[~held], C, fit.X[layer][held])
                wanted = indicators[held]
                errors = (values - wanted).square().sum(0)
                of_fold.append(1 - errors / (wanted - wanted.mean(0)).square().sum(0))
            scores.append(float(torch.stack(of_fold).mean()))
        assert float(found.strength[layer]) == pytest.approx(CS[scores.index(max(scores))])


def test_a_class_that_a_fold_lacks_does_not_decide_for_ridge_cv(rows):
    fit, dev = rows
    y = fit.y.clone()
    y[:2] = 12  # one problem alone: four folds hold none of it
    found = KINDS["ridge_cv"](Labelled(fit.X, y, fit.problem), dev, CONFIG)
    assert found.strength.isfinite().all()
    assert found.right(dev.X, dev.y)[1].double().mean() > 0.6
    # Its missing R squared, taken for a figure, would give every layer the strongest penalty.
    assert (found.strength > CS[0] + 1e-9).any()


def test_logistic_cv_is_the_probe_of_that_name(rows):
    fit, dev = rows
    found = KINDS["logistic_cv"](fit, dev, CONFIG)
    probe = LogisticProbeCV(Cs=CS, seed=4).fit(fit.X, fit.y, groups=fit.problem)
    torch.testing.assert_close(found.coef, probe.coef_)
    torch.testing.assert_close(found.strength, probe.C_.float())
    assert found.layer == int(probe.score(dev.X, dev.y).argmax())


def test_low_rank_reads_through_as_many_directions_as_are_asked_for(rows):
    fit, dev = rows
    found = KINDS["low_rank"](fit, dev, CONFIG.model_copy(update={"rank": 1}))
    for layer, C in enumerate(found.strength.tolist()):
        spread = torch.linalg.svdvals(found.coef[layer] - found.coef[layer].mean(0))
        assert spread[1] < 1e-4 * spread[0]
        scores = [
            float(LowRankProbe(rank=1, C=each).fit(fit.X, fit.y).score(dev.X, dev.y)[layer]) for each in CS
        ]
        assert CS[scores.index(max(scores))] == pytest.approx(C)
    whole = KINDS["low_rank"](fit, dev, CONFIG.model_copy(update={"rank": 3}))
    layer, C = 1, float(whole.strength[1])
    scale = StandardScaler().fit(fit.X[layer])
    peer = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(scale.transform(fit.X[layer]), fit.y)
    wanted = torch.from_numpy(peer.predict(scale.transform(dev.X[layer])))
    assert (
        share(whole.classes[(dev.X[layer] @ whole.coef[layer].T + whole.intercept[layer]).argmax(1)], wanted)
        > 0.98
    )


def test_every_kind_reads_what_is_there_and_spans_what_it_reads(rows):
    fit, dev = rows
    for kind, make in KINDS.items():
        found = make(fit, dev, CONFIG)
        assert found.layer == 1, kind
        assert found.right(dev.X, dev.y)[1].double().mean() > 0.55, kind
        span = found.span(2 if kind == "low_rank" else 3)
        centred = found.coef - found.coef.mean(1, keepdim=True)
        torch.testing.assert_close(centred @ span.mT @ span, centred, rtol=1e-3, atol=1e-4)
