"""Crosscoders against what was planted, and their parts against plain computations."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checker import signatures_unchecked
from tests.saes.planted import planted_pair
from tests.saes.recovery import RULE, recovery
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store import StoreWriter, open_pair
from undertext.saes.config import SaeConfig, Training
from undertext.saes.crosscoder import Normalisation
from undertext.saes.crosscoder_training import load_crosscoder, train_crosscoder
from undertext.saes.pairs import difference
from undertext.saes.scaling import Scaling, latent_scaling
from undertext.saes.sorting import KINDS, LatentCuts, relative_norm, sort_by_norm, sort_latents
from undertext.saes.training import train_sae

POINT = HookPoint(1, "resid_post")
QUICK = Training(d_sae=24, k=3, steps=40, batch_size=128, lr=2e-3, held_out=300, dead_after=20)


@pytest.fixture(scope="module")
def small():
    """Two points of two models, 8 wide, with everything of another size in each."""
    noise = torch.Generator().manual_seed(5)
    sizes = torch.tensor([1.0, 3.0])[:, None, None]
    base = torch.randn(2, 1500, 8, generator=noise) * sizes + 0.7
    tuned = base * 2 + 0.3 * torch.randn(2, 1500, 8, generator=noise) - 1
    return base, tuned


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    points = (HookPoint(0, "resid_post"), POINT)
    return train_crosscoder(small, QUICK, points=points, folder=tmp_path_factory.mktemp("run") / "crosscoder")


def test_the_split_crosscoder_is_the_sae_on_normalised_activations(small, trained):
    """Encoding raw activations and decoding into raw ones is what the SAE does on normalised ones."""
    from sae_lens import SAE

    sae = SAE.load_from_disk(trained.folder)
    normal = Normalisation.of(torch.stack(small))
    inputs = normal.apply(torch.stack(small))
    assert inputs.shape == (1500, 4 * 8)
    torch.testing.assert_close(
        inputs.view(1500, 4, 8).norm(dim=-1).mean(dim=0), torch.full((4,), 8**0.5), rtol=1e-4, atol=0
    )
    expected = sae.encode(inputs)
    latents = trained.crosscoder.encode(*small)
    assert 0 < expected.count_nonzero() < expected.numel()
    torch.testing.assert_close(latents, expected, rtol=1e-3, atol=1e-3)
    told = trained.crosscoder.decode(latents)
    undone = sae.decode(expected).view(1500, 2, 2, 8).permute(1, 2, 0, 3)
    undone = undone / normal.scales[..., None, None] + normal.means.unsqueeze(2)
    torch.testing.assert_close(told, undone, rtol=1e-3, atol=1e-3)


def test_norms_do_not_hang_on_the_size_of_a_model(small, trained):
    """`norms` are those of the SAE's decoder, part by part."""
    from sae_lens import SAE

    W_dec = SAE.load_from_disk(trained.folder).W_dec.detach()
    expected = torch.stack([half.norm(dim=1) for half in W_dec.split(16, dim=1)])
    torch.testing.assert_close(trained.crosscoder.norms(), expected)


def test_a_saved_crosscoder_comes_back(small, trained):
    again = load_crosscoder(trained.folder)
    assert again.points == (HookPoint(0, "resid_post"), POINT)
    assert torch.equal(again.encode(*small), trained.crosscoder.encode(*small))
    finished = train_crosscoder(small, QUICK, points=again.points, folder=trained.folder)
    assert torch.equal(finished.crosscoder.decoders, trained.crosscoder.decoders)
    with pytest.raises(UserError, match="is missing"):
        load_crosscoder(trained.folder / "nowhere")


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts.pop("scales"),
        lambda parts: parts.update(means=parts["means"][:1].contiguous()),
        lambda parts: parts.update(means=parts["means"][..., :3].contiguous()),
        lambda parts: parts.update(scales=parts["scales"].flatten()),
    ],
)
def test_a_crosscoder_whose_parts_do_not_fit(trained, tmp_path, change):
    folder = tmp_path / "crosscoder"
    shutil.copytree(trained.folder, folder)
    file = folder / "normalisation.safetensors"
    parts = load_file(file)
    change(parts)
    save_file(parts, file)
    with pytest.raises(UserError, match=r"no crosscoder in .*: expected a jumprelu SAE, and means"):
        load_crosscoder(folder)


def test_stores_are_read_as_their_tensors(small, trained, tmp_path):
    points = trained.crosscoder.points
    for name, part in zip(("base", "tuned"), small, strict=True):
        with StoreWriter(tmp_path / name, points, 8) as writer:
            writer.append(part, {"problem": ["p"] * 1500, "tokens": list(range(1500))})
    pair = open_pair(tmp_path / "base", tmp_path / "tuned")
    found = train_crosscoder(pair, QUICK)
    assert found.crosscoder.points == points
    assert torch.equal(found.crosscoder.encoders, trained.crosscoder.encoders)
    one = difference(pair.select(points=[POINT]))
    assert torch.equal(one.take(torch.arange(5)), (small[1] - small[0])[1, :5])
    with pytest.raises(UserError, match="one hook point, the pair has 2"):
        difference(pair)


def test_what_does_not_fit_is_refused(small, trained):
    with pytest.raises(UserError, match=r"expected base activations \[2, n, 8\].*got \[1, 1500, 8\]"):
        trained.crosscoder.encode(small[0][:1], small[1][:1])
    with (
        signatures_unchecked(),
        pytest.raises(UserError, match=r"same rows.*\[2, 1500, 8\] and \[2, 1499, 8\]"),
    ):
        train_crosscoder((small[0], small[1][:, 1:]), QUICK)
    with pytest.raises(UserError, match="a hook point for each of 2 in the tensors, got 1"):
        train_crosscoder(small, QUICK, points=(POINT,))
    with pytest.raises(UserError, match="vary"):
        train_crosscoder((small[0], torch.ones_like(small[1])), QUICK)


def test_a_difference_sae_reads_what_tuning_added():
    """Features in both models cancel: what it finds is what one of the two has alone."""
    planted = planted_pair(seed=0, d_model=24, per_kind=6, n=8000, tuned_size=1.0)
    config = SaeConfig(d_sae=48, k=2, steps=600, batch_size=512, lr=3e-3, held_out=500, dead_after=100)
    sae = train_sae(difference((planted.base, planted.tuned)), config).sae
    changed = planted.directions[1] - planted.directions[0]
    lengths = changed.norm(dim=1)
    cosines = (torch.nn.functional.normalize(changed, dim=1) @ sae.W_dec.detach().t()).max(dim=1).values
    assert (lengths[:6] < 1e-6).all()
    assert cosines[6:].mean() > 0.9


def test_scaling_is_least_squares_on_each_latent(small, trained):
    """Each figure against numpy-style regression of the one latent, all rows at once."""
    crosscoder = trained.crosscoder
    scaling = latent_scaling(
        crosscoder, zip(small[0].split(400, 1), small[1].split(400, 1), strict=True), RULE.scaling
    )
    latents = crosscoder.encode(*small).double()
    scales = crosscoder.scales[..., None, None]

    def flat(parts):
        return (parts * scales).permute(0, 2, 1, 3).flatten(2).double()

    decoders = flat(crosscoder.decoders)
    told = flat(crosscoder.decode(crosscoder.encode(*small)) - crosscoder.decoder_bias.unsqueeze(2))
    both = flat(torch.stack(small) - crosscoder.decoder_bias.unsqueeze(2))

    def beta(latent, direction, target):
        """The slope of target on what the latent writes, with an intercept for each dimension."""
        writes = latents[:, latent, None] * direction
        writes, target = writes - writes.mean(dim=0), target - target.mean(dim=0)
        return torch.linalg.lstsq(writes.reshape(-1, 1), target.reshape(-1, 1)).solution.item()

    fired = (latents > 0).double().mean(dim=0)
    torch.testing.assert_close(scaling.fired, fired.float())
    alive = (fired > 0.01).nonzero()[:, 0].tolist()
    assert len(alive) > 10
    for latent in alive:
        strong = int(scaling.stronger[latent])
        for model in range(2):
            left = both[model] - told[model] + latents[:, latent, None] * decoders[model, latent]
            own = beta(latent, decoders[model, latent], left)
            assert scaling.own[model, latent].item() == pytest.approx(own, abs=1e-4)
            error = beta(latent, decoders[strong, latent], left)
            assert scaling.error[model, latent].item() == pytest.approx(error, abs=1e-4)
            other = beta(latent, decoders[strong, latent], told[model])
            assert scaling.reconstruction[model, latent].item() == pytest.approx(other, abs=1e-4)


def test_co_firing_latents_fire_alike_and_one_writes_along_the_other(small, trained):
    decoders = trained.crosscoder.decoders.clone()
    decoders[1, :, :8] *= 0.1
    decoders[0, :, 8:16] *= 0.1
    # Some pairs have nothing to do with each other, some write along each other in one model.
    decoders[1, :, 0] = 0.2 * decoders[1, :, 8] / decoders[1, :, 8].norm() * decoders[0, :, 0].norm()
    crosscoder = replace(trained.crosscoder, decoders=decoders)
    scaling = latent_scaling(
        crosscoder, zip(small[0].split(400, 1), small[1].split(400, 1), strict=True), RULE.scaling
    )
    fires = crosscoder.encode(*small) > 0
    flat = (decoders * crosscoder.scales[..., None, None]).permute(0, 2, 1, 3).flatten(2)
    ratio = scaling.norms[0] / scaling.norms[1]
    base, tuned = (ratio > 2).nonzero()[:, 0].tolist(), (ratio < 0.5).nonzero()[:, 0].tolist()
    assert base == list(range(8))
    assert tuned == list(range(8, 16))

    def echo(model, own, other):
        along = flat[1 - model, own] @ flat[1 - model, other] / flat[1 - model, other].norm()
        return along / flat[model, own].norm()

    expected = torch.zeros(len(ratio))
    pairs = 0
    for one in base:
        for two in tuned:
            if max(echo(0, one, two), echo(1, two, one)) < 0.1 or not fires[:, [one, two]].any(0).all():
                continue
            both = (fires[:, one] & fires[:, two]).sum()
            alike = both / (fires[:, one].sum() * fires[:, two].sum()).sqrt()
            expected[one], expected[two] = max(expected[one], alike), max(expected[two], alike)
            pairs += 1
    assert 0 < pairs < 64
    torch.testing.assert_close(scaling.co_firing, expected, atol=1e-5, rtol=0)


def test_what_a_latent_holds_beyond_another(small, trained):
    """One latent writes in tuned a part of what another does; one is another again; the rest stand alone."""
    decoders = trained.crosscoder.decoders.clone()
    decoders[1, :, 3] = 0.5 * decoders[1, :, 5]
    decoders[:, :, 8] = torch.tensor([1.0, 0.5])[:, None, None] * decoders[:, :, 9]
    crosscoder = replace(trained.crosscoder, decoders=decoders)
    scaling = latent_scaling(crosscoder, [small], RULE.scaling)
    assert scaling.stronger[[3, 8]].tolist() == [0, 0]
    flat = (decoders * crosscoder.scales[..., None, None]).permute(0, 2, 1, 3).flatten(2).double()
    for model in range(2):
        across = flat[model, 5] / flat[model, 5].norm()
        rest = flat[model, 3] - (flat[model, 3] @ across) * across
        share = (rest.norm() / flat[model, 3].norm()).item()
        assert (share < 1e-4) == (model == 1)
        assert scaling.beyond[model, 3].item() == pytest.approx(
            scaling.held[model, 3].item() * share, abs=1e-5
        )
    assert scaling.beyond[0, 3] > 0
    alone = [j for j in range(flat.shape[1]) if j != 3]
    torch.testing.assert_close(scaling.beyond[:, alone], scaling.held[:, alone])


def test_sorting_follows_its_cuts():
    norms = torch.tensor([[1.0, 0.0, 0.7, 0.05, 1.0, 0.05], [0.0, 1.0, 0.7, 1.0, 0.5, 1.0]])
    own = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 0.0, 1.0]])
    told = torch.tensor([[1.0, 0.0, 1.0, 0.1, 1.0, 0.9], [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]])
    co_firing = torch.tensor([0.0, 0.1, 0.0, 0.8, 0.0, 0.0])
    scaling = Scaling(norms, torch.full((6,), 0.1), own, own * norms, told, own * norms, co_firing)
    found = [KINDS[i] for i in sort_latents(scaling, RULE.latents).index]
    # The fourth fires with another, the sixth is written by other latents; nothing bears
    # out the fifth's second decoder.
    assert found == ["base_only", "tuned_only", "shared", "shared", "base_only", "shared"]
    by_norm = [KINDS[i] for i in sort_by_norm(scaling, RULE.norm).index]
    assert by_norm == ["base_only", "tuned_only", "shared", "tuned_only", "shared", "tuned_only"]
    lenient = sort_latents(scaling, LatentCuts(held=1.1, error=1.1, reconstruction=1.1, co_firing=1.0))
    assert lenient.shares(range(6))["shared"] == 0
    assert relative_norm(norms).tolist() == pytest.approx([0, 1, 0.5, 0.975, 0.25, 0.975])


def test_a_latent_that_never_fires_is_dead(small, trained):
    crosscoder = trained.crosscoder
    crosscoder.encoder_bias[3] = -1e6
    try:
        scaling = latent_scaling(crosscoder, [small], RULE.scaling)
        assert scaling.own[:, 3].isnan().all()
        for kinds in (sort_latents(scaling, RULE.latents), sort_by_norm(scaling, RULE.norm)):
            assert KINDS[kinds.index[3]] == "dead"
            dead = int((kinds.index == KINDS.index("dead")).sum())
            every = range(len(kinds.index))
            assert sum(kinds.shares(every).values()) == pytest.approx(1 - dead / len(every))
    finally:
        crosscoder.encoder_bias[3] = load_crosscoder(trained.folder).encoder_bias[3]


@pytest.mark.slow
def test_planted_features_are_found_and_sorted():
    found = recovery(seed=1, per_kind=8, d_model=24, n=12_000, steps=700, own_strength=0.0)
    assert found.cosine >= 0.9
    assert found.by_scaling >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("own_strength", [0.0, 0.8])
def test_planted_features_at_full_size(seed, own_strength):
    found = recovery(seed=seed, own_strength=own_strength)
    assert found.cosine >= 0.9
    assert found.by_scaling >= 0.95
    if own_strength:
        assert found.by_norm < found.by_scaling - 0.03


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_features_that_fire_together(seed):
    found = recovery(seed=seed, together=True)
    assert found.by_scaling >= 0.75
    assert found.by_scaling > found.by_norm
