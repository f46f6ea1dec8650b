"""Probes, steering and sparse autoencoders, on tensors and checkpoints of the GPU."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_lens import SAE as Plain

from tests.activations.reference import PROMPTS
from tests.cuda.both import GPU, Both, both, near
from tests.made_up_sae import sae_of
from tests.probe_problems import CHOOSING, CLASSIFIERS, tensors
from tests.saes.planted import superposition
from undertext.activations import HookPoint, capture
from undertext.probes import (
    Labelled,
    RidgeProbe,
    RidgeProbeCV,
    fit_select,
    leace,
    lens_kl,
    lens_log_probs,
    lens_logits,
    linear_cka,
    mispaired_rows,
    online_code,
    patch_subspace,
    points_of,
    principal_angles,
    procrustes,
    random_subspaces,
    shuffled_draws,
    source_patches,
    span_of,
    train_tuned_lens,
)
from undertext.saes import (
    Firings,
    encode,
    feature_effects,
    fidelity,
    latent_scaling,
    load_sae,
    loss_recovered,
    match_controls,
    read_pair,
    train_crosscoder,
    train_sae,
)
from undertext.saes.autoencoder import decoder_directions
from undertext.saes.config import SaeConfig, Training
from undertext.saes.scaling import ScalingCuts
from undertext.saes.texts import read_texts
from undertext.steering import (
    Practice,
    Setting,
    SteeringVector,
    fit_vector,
    grid,
    halving,
    mean_norm,
    on_text,
    random_directions,
    reinforce_vectors,
    reinforce_weights,
    sweep,
)
from undertext.steering.cot_decoding import cot_decode

POINT = HookPoint(1, "resid_post")
POINTS = [HookPoint(layer, "resid_post") for layer in range(3)]
TEXTS = list(PROMPTS)
NORMS = torch.full((3,), 4.0)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Both:
    return both(tmp_path_factory.mktemp("made") / "llama")


# Probes


@pytest.mark.parametrize("name", [*CLASSIFIERS, *CHOOSING])
@pytest.mark.parametrize("classes", [2, 4])
def test_classifiers(name, classes):
    X, y = tensors(200, 12, classes, 0)
    X = torch.stack([X, X.flip(0)])
    makers = {**CLASSIFIERS, **CHOOSING}
    weight = torch.linspace(0.5, 2, 200, dtype=X.dtype)
    options: dict[str, Any] = {} if name in CHOOSING else {"sample_weight": weight}
    wanted = makers[name]().fit(X, y, **options)
    for labels in (y, y.to(GPU)):
        found = makers[name]().fit(X.to(GPU), labels, **options)
        assert found.coef_.device.type == "cuda"
        near(found.coef_, wanted.coef_, 1e-3)
        near(found.predict_proba(X.to(GPU)), wanted.predict_proba(X), 1e-3)
        near(found.score(X.to(GPU), y), wanted.score(X, y), 0.01)
        near(found.score(X.to(GPU), y, weight), wanted.score(X, y, weight), 0.01)
        assert (
            float(principal_angles(span_of(found).cpu(), span_of(wanted).to(found.coef_.cpu())).max()) < 0.05
        )


@pytest.mark.parametrize("kind", [RidgeProbe, RidgeProbeCV])
def test_regressions(kind):
    X, y = tensors(200, 12, 4, 0)
    values = torch.stack([y.double(), X[:, 0]], 1)
    found, wanted = kind().fit(X.to(GPU), values), kind().fit(X, values)
    near(found.coef_, wanted.coef_, 1e-3)
    near(found.predict(X.to(GPU)), wanted.predict(X), 1e-3)
    near(found.score(X.to(GPU), values), wanted.score(X, values), 1e-3)


def test_what_is_made_of_rows():
    X, y = tensors(200, 12, 3, 0)
    X = torch.stack([X, X.flip(0)]).float()
    there = X.to(GPU)
    near(leace(there, y).apply(there), leace(X, y).apply(X), 1e-3)
    near(procrustes(there, there.flip(1)).apply(there), procrustes(X, X.flip(1)).apply(X), 1e-3)
    near(linear_cka(there, there.flip(0)), linear_cka(X, X.flip(0)))
    bases = random_subspaces(2, 3, 12, seed=0)
    near(principal_angles(bases[:1].to(GPU), bases[1:].to(GPU)), principal_angles(bases[:1], bases[1:]))
    found, wanted = (
        fit_select(each, y, each, y, strengths=(0.01, 0.1)).correct(each, y) for each in (there, X)
    )
    assert (found.cpu() == wanted).double().mean() > 0.98
    near(online_code(Labelled(there, y)).length, online_code(Labelled(X, y)).length, 0.01)
    near(online_code(Labelled(there, y.to(GPU))).length, online_code(Labelled(X, y)).length, 0.01)
    assert torch.equal(shuffled_draws(Labelled(there, y.to(GPU))), shuffled_draws(Labelled(X, y)))
    problem, draw = torch.arange(200) // 4, torch.Generator
    assert torch.equal(
        mispaired_rows(problem.to(GPU), draw().manual_seed(0)).cpu(),
        mispaired_rows(problem, draw().manual_seed(0)),
    )


def test_streamed_rows():
    X, y = tensors(200, 12, 3, 0)
    for name in ("logistic", "means", "lda, fixed"):
        wanted = CLASSIFIERS[name]().fit(X, y)
        found = CLASSIFIERS[name]().fit([part.to(GPU) for part in X.split(50)], y)
        near(found.coef_, wanted.coef_, 1e-3)


def test_lenses(two):
    captured = [capture(each, TEXTS, POINTS, "all") for each in two]
    near(lens_logits(two.gpu, captured[1]), lens_logits(two.cpu, captured[0]))
    lenses = [train_tuned_lens(each, TEXTS, steps=5, lr=3e-3, seed=1) for each in two]
    near(lenses[1].weight, lenses[0].weight, 0.05)
    near(lens_kl(two.gpu, TEXTS, lenses[0]), lens_kl(two.cpu, TEXTS, lenses[0]), 1e-3)
    X, tokens = captured[0].activations, torch.tensor([4, 9])
    wanted = lens_log_probs(two.cpu, POINTS, X, tokens, lenses[0])
    near(lens_log_probs(two.gpu, POINTS, X, tokens, lenses[0]), wanted)
    near(lens_log_probs(two.gpu, POINTS, X.to(GPU), tokens.to(GPU), lenses[0]), wanted)


def test_interchange(two):
    prompts, sources = two.cpu.encode(TEXTS), two.cpu.encode(TEXTS[::-1])
    basis = torch.linalg.qr(torch.randn(32, 3, generator=torch.Generator().manual_seed(0))).Q.T
    settings: Any = [{}, {POINTS[0]: None}, {POINTS[1]: basis, POINTS[2]: basis}]
    at = [(-1,)] * len(prompts)
    found, wanted = (
        patch_subspace(
            each, prompts, source_patches(each, at, sources, at, points_of(settings)), settings,
            lambda i, text, cut: (cut, "a" in text), max_new_tokens=8,
        )
        for each in (two.gpu, two.cpu)
    )  # fmt: skip
    assert (found.texts, found.touched) == (wanted.texts, wanted.touched)
    assert torch.equal(found.is_, wanted.is_)


# Steering


def graded(i: int, text: str, cut: bool) -> tuple[bool, bool]:
    return len(text) % 3 == i % 3, len(text) % 2 == i % 2


@pytest.fixture(scope="module")
def vectors(two) -> list[SteeringVector]:
    activations = capture(two.cpu, TEXTS, POINTS).activations
    norms, centre = mean_norm(activations), activations.mean(1)
    return [
        SteeringVector("one", 7 * random_directions(3, 32, seed=1), norms, "random", centre=centre),
        SteeringVector("two", random_directions(3, 32, seed=2), norms, "random"),
    ]


def test_sweeps_and_halving(two, vectors):
    settings = grid(["one"], [0, 1, 2], [0.6, 2.0], operators=("add", "ablate", "clamp", "affine", "rotate"))
    found, wanted = (
        sweep(each, TEXTS, settings, vectors, graded, max_new_tokens=5) for each in (two.gpu, two.cpu)
    )
    assert found.texts == wanted.texts
    for name in ("strict", "lenient", "touched", "written", "steered", "produced"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    many = grid(["one", "two"], [0, 1, 2], [0.5, 1.0, 2.0])
    one, other = (
        halving(each, TEXTS, many, vectors, graded, max_new_tokens=3, seed=0) for each in (two.gpu, two.cpu)
    )
    assert (one.winner, one.rows) == (other.winner, other.rows)


def test_side_effects(two, vectors):
    texts = [f"{text} so answer 3" for text in TEXTS]
    setting = Setting("one", (1,), 0.5)
    found, wanted = (on_text(each, texts, setting, vectors) for each in (two.gpu, two.cpu))
    assert found.touched == wanted.touched
    for name in ("divergence", "unsteered", "steered"):
        near(getattr(found, name), getattr(wanted, name), 1e-3)


@pytest.mark.parametrize("at", ["last_prompt", "all"])
def test_fitted_vectors(two, at):
    options: dict[str, Any] = {"at": at, "steps": 5, "lr": 0.1}
    found, wanted = (
        fit_vector(each, TEXTS, ["answer so"] * len(TEXTS), NORMS, **options) for each in (two.gpu, two.cpu)
    )
    near(found, wanted, 0.01)


def test_training_by_reward(two):
    """One update: which texts are sampled may depend on rounding from the next one on."""
    practice = Practice(steps=1, prompts=4, samples=4, max_new_tokens=5, lr=0.01)
    reward = lambda row, text, cut: (len(text) + 3 * row) % 5 / 4  # noqa: E731
    found, wanted = (reinforce_vectors(each, TEXTS, reward, NORMS, practice) for each in (two.gpu, two.cpu))
    near(found.course.rewards, wanted.course.rewards)
    near(found.directions, wanted.directions, 0.05)
    before = two.gpu.fingerprint
    trained = reinforce_weights(two.gpu, TEXTS, reward, practice).checkpoint
    assert trained.device.type == "cuda"
    assert (
        trained.fingerprint
        != before
        == two.gpu.__class__.load((two.gpu.model, two.gpu.tokenizer)).fingerprint
    )


def test_cot_decoding(two):
    whole = lambda text, cut: (0, len(text)) if text else None  # noqa: E731
    found, wanted = (cot_decode(each, TEXTS, whole, k=3, max_new_tokens=5) for each in (two.gpu, two.cpu))
    assert found.texts == wanted.texts


# Sparse autoencoders


@pytest.fixture(scope="module")
def folder(two, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("sae") / "made"
    sae_of(two.cpu, f"blocks.{POINT.layer}.hook_resid_post").save_model(made)
    return made


def test_an_sae_reads_and_is_spliced_in(two, folder):
    here, there = load_sae(folder), load_sae(folder, device=GPU)
    assert there.W_dec.device.type == "cuda"
    X = capture(two.cpu, TEXTS, [POINT], "all")[POINT]
    near(encode(there, X), encode(here, X))
    near(encode(there, X.to(GPU)), encode(here, X))
    near(decoder_directions(there, unit_norm=True), decoder_directions(here, unit_norm=True))
    assert fidelity(there, X).l0 == pytest.approx(fidelity(here, X).l0, abs=0.1)
    wanted = loss_recovered(here, two.cpu, TEXTS, POINT)
    for sae, checkpoint in itertools.product((here, there), two):
        found = loss_recovered(sae, checkpoint, TEXTS, POINT)
        for name in ("clean", "spliced", "zero", "mean"):
            assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-3)
    one, other = (
        read_texts(sae, checkpoint, TEXTS, POINT) for sae, checkpoint in ((there, two.gpu), (here, two.cpu))
    )
    near(one.firings.counts, other.firings.counts, 0.05)


def test_features_change_answers_alike(two, folder):
    sae = load_sae(folder)
    X = capture(two.cpu, TEXTS, [POINT], "all")[POINT]
    frequency = (encode(sae, X) > 0).double().mean(0)
    features = frequency.argsort(descending=True)[:2].tolist()
    matched = match_controls(decoder_directions(sae), frequency, features, controls=2, seed=0)
    right = lambda i, text, cut: len(text) % 2 == i % 2  # noqa: E731
    found, wanted = (
        feature_effects(each, TEXTS, right, matched, POINT, max_new_tokens=5) for each in (two.gpu, two.cpu)
    )
    assert torch.equal(found.changed, wanted.changed)
    assert torch.equal(found.controls, wanted.controls)


@pytest.mark.parametrize("architecture", ["topk", "batchtopk", "jumprelu", "matryoshka"])
def test_training_an_sae(architecture, tmp_path):
    rows = superposition()
    widths = {"matryoshka_widths": (8, 24)} if architecture == "matryoshka" else {}
    config = SaeConfig(
        architecture=architecture, d_sae=48, k=3, steps=60, batch_size=256, lr=2e-3, held_out=500,
        dead_after=20, checkpoint_every=20, device=GPU, **widths,
    )  # fmt: skip
    made = [train_sae(source, config, folder=tmp_path / name, progress=False) for name, source in
            (("here", rows), ("there", rows.to(GPU)))]  # fmt: skip
    wanted = train_sae(rows, config.model_copy(update={"device": "cpu"}), progress=False)
    for each in made:
        assert each.sae.W_dec.device.type == "cuda"
        assert each.fidelity.explained_variance == pytest.approx(wanted.fidelity.explained_variance, abs=0.05)
    assert torch.equal(Plain.load_from_disk(tmp_path / "here").W_dec, made[0].sae.W_dec.cpu())


def test_training_a_crosscoder():
    noise = torch.Generator().manual_seed(5)
    base = torch.randn(2, 1500, 8, generator=noise) + 0.7
    pair = base, base * 2 + 0.3 * torch.randn(2, 1500, 8, generator=noise)
    config = Training(d_sae=24, k=3, steps=40, batch_size=128, lr=2e-3, held_out=300, dead_after=20)
    wanted = train_crosscoder(pair, config, points=(POINTS[0], POINTS[1]), progress=False)
    cuts = ScalingCuts(leaning=0.5, echo=0.5, same=0.9, one_feature=0.1)
    for source in (pair, (pair[0].to(GPU), pair[1].to(GPU))):
        found = train_crosscoder(
            source, config.model_copy(update={"device": GPU}), points=(POINTS[0], POINTS[1]), progress=False
        )
        assert found.fidelity.explained_variance == pytest.approx(
            wanted.fidelity.explained_variance, abs=0.05
        )
        latents = found.crosscoder.encode(*source)
        near(found.crosscoder.encode(*pair), latents)
        assert found.crosscoder.decode(latents).shape == (2, 2, 1500, 8)
        near(
            latent_scaling(found.crosscoder, [source], cuts).own.nan_to_num(),
            latent_scaling(found.crosscoder, [pair], cuts).own.nan_to_num(),
            1e-3,
        )


def test_firings_of_tensors_on_the_gpu(folder):
    sae = load_sae(folder, device=GPU)
    rows = torch.randn(1, 50, 32, generator=torch.Generator().manual_seed(0))
    pair = rows, 2 * rows
    found, wanted = read_pair(sae, (pair[0].to(GPU), pair[1].to(GPU))), read_pair(load_sae(folder), pair)
    assert found.scales == pytest.approx(wanted.scales)
    near(found.base.column(3), wanted.base.column(3))
    strengths = encode(sae, rows[0])
    near(Firings.of(strengths.to(GPU)).column(2), Firings.of(strengths).column(2))
