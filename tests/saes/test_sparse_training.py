"""The sparse training classes against sae-lens's own: loss, gradients, training, files."""

from typing import Any

import pytest
import torch
from sae_lens import (
    SAE,
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
    TrainingSAE,
)
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import TrainStepInput
from sae_lens.training.sae_trainer import SAETrainer

from undertext.saes.sparse_training import (
    SparseBatchTopKConfig,
    SparseBatchTopKTrainingSAE,
    SparseTopKConfig,
    SparseTopKTrainingSAE,
)

D_IN, D_SAE, ROWS = 16, 80, 50
CLASSES: dict[str, Any] = {
    "topk": ((TopKTrainingSAE, TopKTrainingSAEConfig), (SparseTopKTrainingSAE, SparseTopKConfig), 4),
    "batchtopk": (
        (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig),
        (SparseBatchTopKTrainingSAE, SparseBatchTopKConfig),
        3.5,
    ),
}
DEAD = {"none": [], "one": [7], "some": [2, 7, 11], "more than are revived": list(range(0, D_SAE, 2))}


def both(name, *, d_sae=D_SAE, **settings):
    """The dense and the sparse class with equal weights, none of them at their first values."""
    dense, sparse, k = CLASSES[name]
    saes = [kind(config(d_in=D_IN, d_sae=d_sae, k=k, **settings)) for kind, config in (dense, sparse)]
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in saes[0].parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=noise) * 0.4)
    saes[1].load_state_dict(saes[0].state_dict())
    return saes


def rows(n=ROWS, seed=1):
    return torch.randn(n, D_IN, generator=torch.Generator().manual_seed(seed)) * 2 + 0.3


def step(sae, inputs, dead):
    mask = torch.zeros(sae.cfg.d_sae, dtype=torch.bool)
    mask[dead] = True
    output = sae.training_forward_pass(
        TrainStepInput(
            sae_in=inputs, coefficients={}, dead_neuron_mask=mask, n_training_steps=0, is_logging_step=False
        )
    )
    sae.zero_grad()
    output.loss.backward()
    return output


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rescale_acts_by_decoder_norm": False},
        {"apply_b_dec_to_input": False},
        {"aux_loss_coefficient": 0.25},
    ],
    ids=["as it comes", "no rescaling", "b_dec stays", "less auxiliary loss"],
)
@pytest.mark.parametrize("name", CLASSES)
def test_loss_and_gradients_are_sae_lenss(name, settings, dead):
    dense, sparse = both(name, **settings)
    expected, found = (step(sae, rows(), DEAD[dead]) for sae in (dense, sparse))
    assert (found.losses["auxiliary_reconstruction_loss"] > 0) == bool(DEAD[dead])
    assert found.losses.keys() == expected.losses.keys()
    for term, loss in expected.losses.items():
        torch.testing.assert_close(found.losses[term], loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.sae_out, expected.sae_out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.feature_acts.to_dense(), expected.feature_acts, rtol=1e-5, atol=1e-5)
    for (which, ours), theirs in zip(sparse.named_parameters(), dense.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert theirs.grad.abs().max() > 0.1, which
        scale = theirs.grad.abs().max()
        torch.testing.assert_close(ours.grad / scale, theirs.grad / scale, rtol=1e-5, atol=1e-5, msg=which)


@pytest.mark.parametrize("name", CLASSES)
def test_normalised_inputs(name):
    dense, sparse = both(name, normalize_activations="layer_norm")
    expected, found = (step(sae, rows(), []) for sae in (dense, sparse))
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(sparse.W_enc.grad, dense.W_enc.grad, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="layer_norm"):
        step(sparse, rows(), [1])


def trainer(sae, steps):
    def batches():
        for number in range(steps):
            yield rows(seed=number)

    settings = SAETrainerConfig(
        total_training_samples=steps * ROWS,
        train_batch_size_samples=ROWS,
        lr=1e-3,
        lr_end=1e-4,
        dead_feature_window=5,
    )
    return SAETrainer(cfg=settings, sae=sae, data_provider=batches())


@pytest.mark.parametrize("name", CLASSES)
def test_forty_steps_of_the_trainer_end_alike(name):
    dense, sparse = both(name)
    ends = [trainer(sae, 40) for sae in (dense, sparse)]
    for each in ends:
        each.fit()
    assert ends[0].dead_neurons.any()  # so that the auxiliary loss had its part
    for ours, theirs in zip(sparse.state_dict().values(), dense.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert torch.equal(ends[0].n_forward_passes_since_fired, ends[1].n_forward_passes_since_fired)
    assert torch.equal(ends[0].act_freq_scores, ends[1].act_freq_scores)


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_saved_opens_with_plain_sae_lens(name, tmp_path):
    """The inference SAE of either class is one and the same, and so is what it does."""
    dense, sparse = both(name)
    for kind, sae in (("dense", dense), ("sparse", sparse)):
        step(sae, rows(), [])  # moves BatchTopK's threshold
        sae.save_inference_model(tmp_path / kind)
    theirs, ours = (SAE.load_from_disk(tmp_path / kind) for kind in ("dense", "sparse"))
    assert ours.cfg.architecture() == theirs.cfg.architecture() == {"batchtopk": "jumprelu"}.get(name, name)
    expected = theirs(rows(seed=9))
    assert theirs.encode(rows(seed=9)).count_nonzero() > 0
    torch.testing.assert_close(ours(rows(seed=9)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CLASSES)
def test_checkpoints_go_both_ways(name, tmp_path):
    dense, sparse = both(name)
    sparse.save_model(tmp_path / "sparse")
    dense.save_model(tmp_path / "dense")
    again = TrainingSAE.load_from_disk(tmp_path / "sparse")
    assert type(again) is type(sparse)
    fresh_dense, fresh_sparse = (type(sae)(sae.cfg) for sae in (dense, sparse))
    fresh_dense.load_weights_from_checkpoint(tmp_path / "sparse")
    fresh_sparse.load_weights_from_checkpoint(tmp_path / "dense")
    expected = dense(rows())
    for sae in (again, fresh_dense, fresh_sparse):
        assert torch.equal(sae(rows()), expected)
