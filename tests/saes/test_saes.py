"""The SAE wing against sae-lens itself, on tiny SAEs saved by sae-lens."""

import json
import sys

import pytest
import torch
from jaxtyping import TypeCheckError
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
)

from undertext.activations.errors import UserError
from undertext.saes import decoder_directions, encode, load_sae

D_MODEL, D_SAE = 8, 20
SHAPE = {"d_in": D_MODEL, "d_sae": D_SAE}


def randomized(sae):
    """The same SAE with every parameter drawn anew: fresh biases are zero, which would hide mistakes."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in sae.parameters():
            parameter.normal_()
    return sae


@pytest.fixture
def activations():
    return torch.randn(16, D_MODEL, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def standard():
    sae = randomized(StandardSAE(StandardSAEConfig(**SHAPE, normalize_activations="layer_norm")))
    sae.cfg.metadata.hook_name = "blocks.2.hook_resid_post"
    return sae


@pytest.fixture(params=["standard", "topk"])
def sae(request, standard):
    return standard if request.param == "standard" else randomized(TopKSAE(TopKSAEConfig(**SHAPE, k=3)))


def test_a_saved_sae_comes_back_with_equal_outputs(sae, activations, tmp_path):
    sae.save_model(tmp_path)
    loaded = load_sae(tmp_path)
    expected = sae.encode(activations)
    assert expected.count_nonzero() > 0
    torch.testing.assert_close(encode(loaded, activations), expected, rtol=0, atol=0)
    torch.testing.assert_close(decoder_directions(loaded), sae.W_dec.data, rtol=0, atol=0)


def test_a_trained_sae_comes_back_with_equal_outputs(activations, tmp_path):
    trained = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**SHAPE, k=3))
    randomized(trained).topk_threshold.fill_(5.0)
    trained.save_inference_model(tmp_path)
    above = torch.relu((activations - trained.b_dec) @ trained.W_enc + trained.b_enc)
    above = above * trained.W_dec.norm(dim=1)  # sae-lens folds the rows' norms into the encoder when it saves
    expected = torch.where(above > 5.0, above, 0.0).detach()
    assert 0 < expected.count_nonzero() < above.count_nonzero()  # the threshold matters
    torch.testing.assert_close(encode(load_sae(tmp_path), activations), expected)


def test_features_times_directions_is_the_reconstruction(standard, activations):
    standard.cfg.normalize_activations = "none"
    plain = StandardSAE(standard.cfg)
    plain.load_state_dict(standard.state_dict())
    summed = encode(plain, activations) @ decoder_directions(plain) + plain.b_dec
    torch.testing.assert_close(summed.detach(), plain(activations).detach())


def test_unit_norm_directions(standard):
    with torch.no_grad():
        standard.W_dec[4] = 0
    rows = decoder_directions(standard, unit_norm=True)
    norms = torch.ones(D_SAE)
    norms[4] = 0
    torch.testing.assert_close(rows.norm(dim=1), norms)
    scaled = rows * standard.W_dec.detach().norm(dim=1, keepdim=True)
    torch.testing.assert_close(scaled, standard.W_dec.detach())


def test_directions_are_a_copy(standard):
    before = standard.W_dec.detach().clone()
    decoder_directions(standard).zero_()
    assert torch.equal(standard.W_dec, before)


def test_a_half_precision_sae_gives_float32(standard, activations):
    assert encode(standard.to(torch.bfloat16), activations).dtype == torch.float32


def test_a_wrong_width_names_both_and_the_hook_point(standard):
    with pytest.raises(UserError, match=r"\[n, 8\].*blocks\.2\.hook_resid_post, got \[3, 16\]"):
        encode(standard, torch.zeros(3, 16))


def test_a_wrong_path_says_what_is_missing(tmp_path):
    with pytest.raises(
        UserError, match=r"no SAE in .*nowhere: expected cfg\.json and sae_weights\.safetensors"
    ):
        load_sae(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
def test_an_incomplete_folder_names_the_missing_file(standard, tmp_path, name):
    standard.save_model(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name} not there"):
        load_sae(tmp_path)


def cut_weights(folder):
    weights = folder / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def edit_config(folder, **changes):
    path = folder / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "spoil",
    [
        cut_weights,
        lambda folder: (folder / "cfg.json").write_text("{"),
        lambda folder: edit_config(folder, architecture="unheard-of"),
        lambda folder: edit_config(folder, d_sae=D_SAE + 1),
    ],
    ids=["truncated", "no json", "unknown architecture", "shapes that disagree"],
)
def test_a_spoilt_sae_is_one_line(standard, tmp_path, spoil):
    standard.save_model(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=f"could not load the SAE {tmp_path}") as caught:
        load_sae(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_id_lists_those_of_the_release():
    with pytest.raises(UserError, match=r"gpt2-small-res-jb, blocks\.99: .*Valid IDs are .*blocks\.0\.hook"):
        load_sae("gpt2-small-res-jb", "blocks.99")


def test_without_sae_lens_the_extra_is_named(standard, tmp_path, monkeypatch):
    standard.save_model(tmp_path)
    monkeypatch.setitem(sys.modules, "sae_lens", None)  # importing it now fails as if it were not installed
    with pytest.raises(UserError, match=r"pip install undertext\[saes\]"):
        load_sae(tmp_path)


def test_signatures_are_checked_while_tests_run(standard):
    """Not only here: this shows that the shapes in every signature of the packages are enforced in tests."""
    with pytest.raises(TypeCheckError, match="n d_model"):
        encode(standard, torch.zeros(D_MODEL))
