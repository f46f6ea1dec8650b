"""Training classes for sae-lens whose work after the encoder's matrix product grows with the active latents.

They stand in sae-lens's registry as `sparse_topk` and `sparse_batchtopk`: trainer, schedule, config,
optimiser and file format are sae-lens's, the loss and its gradients equal those of its own classes, and
`save_inference_model` writes a plain `topk` or `jumprelu` SAE. Importing this module imports sae-lens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    TopKSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
    register_sae_training_class,
)
from sae_lens.saes.sae import TrainStepInput, TrainStepOutput
from torch import Tensor

from undertext.saes.active import Active, Scores, batch_top_k, top_k
from undertext.saes.sparse_gradients import reconstruct


@dataclass
class SparseTopKConfig(TopKTrainingSAEConfig):
    """sae-lens's config of a TopK SAE, trained with sparse gradients."""

    @classmethod
    def architecture(cls) -> str:
        """Its name in sae-lens's registry."""
        return "sparse_topk"

    def get_inference_config_class(self) -> type[TopKSAEConfig]:
        """What it is once trained: a plain TopK SAE."""
        return TopKSAEConfig


@dataclass
class SparseBatchTopKConfig(BatchTopKTrainingSAEConfig):
    """sae-lens's config of a BatchTopK SAE, trained with sparse gradients."""

    @classmethod
    def architecture(cls) -> str:
        """Its name in sae-lens's registry."""
        return "sparse_batchtopk"


class SparseTopKTrainingSAE(TopKTrainingSAE):
    """sae-lens's TopK training SAE with a sparse training step.

    Only `training_forward_pass` differs. Hooks on the latents see nothing there, and `hidden_pre` of what it
    returns holds the active latents alone.
    """

    cfg: SparseTopKConfig

    def training_forward_pass(self, step_input: TrainStepInput) -> TrainStepOutput:
        """One step's loss; `feature_acts` are a sparse COO tensor [n, d_sae]."""
        return sparse_step(self, step_input, lambda scores, n: top_k(scores, n, int(self.cfg.k)))


class SparseBatchTopKTrainingSAE(BatchTopKTrainingSAE):
    """sae-lens's BatchTopK training SAE with a sparse training step (see `SparseTopKTrainingSAE`)."""

    cfg: SparseBatchTopKConfig

    def training_forward_pass(self, step_input: TrainStepInput) -> TrainStepOutput:
        """One step's loss, and the running threshold moved on."""
        output = sparse_step(self, step_input, lambda scores, n: batch_top_k(scores, n, int(self.cfg.k * n)))
        self.update_topk_threshold(output.feature_acts.values())
        output.metrics["topk_threshold"] = self.topk_threshold
        return output


def sparse_step(
    sae: Any, step_input: TrainStepInput, select: Callable[[Scores, int], Active]
) -> TrainStepOutput:
    """A training step of `sae`, a TopK training SAE of sae-lens, whose active latents `select(scores, n)`
    finds."""
    inputs = sae.hook_sae_input(sae.reshape_fn_in(step_input.sae_in.to(sae.dtype)))
    inputs = sae.run_time_activation_norm_fn_in(inputs)
    with torch.no_grad():
        centred = inputs - sae.b_dec * sae.cfg.apply_b_dec_to_input
        norms = sae.W_dec.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else torch.ones_like(sae.b_enc)
        active = select(_scores(centred, sae.W_enc * norms, sae.b_enc * norms), len(inputs))
    summed = _reconstruct(sae, inputs, active, norms)
    sae_out = sae.run_time_activation_norm_fn_out(sae.hook_sae_recons(summed + sae.b_dec))
    sae_out = sae.reshape_fn_out(sae_out, sae.d_head)
    mse_loss = sae.mse_loss_fn(sae_out, step_input.sae_in).sum(dim=-1).mean()
    aux_loss = _dead_latents_loss(sae, step_input, inputs, centred, norms, sae_out)
    places = torch.stack((active.rows(), active.latents))
    feature_acts = torch.sparse_coo_tensor(
        places, active.scores, (len(inputs), sae.cfg.d_sae), check_invariants=False, is_coalesced=True
    )
    return TrainStepOutput(
        sae_in=step_input.sae_in,
        sae_out=sae_out,
        feature_acts=feature_acts,
        hidden_pre=feature_acts,
        loss=mse_loss + aux_loss,
        losses={"mse_loss": mse_loss, "auxiliary_reconstruction_loss": aux_loss},
    )


def _scores(
    centred: Float[Tensor, "n d_in"], weights: Float[Tensor, "d_in d_sae"], bias: Float[Tensor, " d_sae"]
) -> Scores:
    return lambda rows: torch.addmm(bias, centred[rows], weights)


def _reconstruct(
    sae: Any, inputs: Float[Tensor, "n d_in"], active: Active, norms: Float[Tensor, " d_sae"]
) -> Float[Tensor, "n d_in"]:
    # A score is a latent's strength times its decoder row's norm, which decoding divides out again: the norms
    # choose who is active and have no part in the loss, so no gradient passes through them.
    b_dec = sae.b_dec if sae.cfg.apply_b_dec_to_input else None
    strengths = active.scores / norms[active.latents]
    return reconstruct(inputs, sae.W_enc, sae.b_enc, sae.W_dec, b_dec, active, strengths)


def _dead_latents_loss(
    sae: Any,
    step_input: TrainStepInput,
    inputs: Float[Tensor, "n d_in"],
    centred: Float[Tensor, "n d_in"],
    norms: Float[Tensor, " d_sae"],
    sae_out: Tensor,
) -> Float[Tensor, ""]:
    """sae-lens's auxiliary loss (`calculate_topk_aux_loss`), over the dead latents' columns alone."""
    mask = step_input.dead_neuron_mask
    if mask is None or (n_dead := int(mask.sum())) == 0:
        return sae_out.new_tensor(0.0)
    if sae.cfg.normalize_activations in ("constant_norm_rescale", "layer_norm"):
        raise ValueError(f"no loss for dead latents with {sae.cfg.normalize_activations} normalisation")
    dead = mask.nonzero()[:, 0]
    wanted = step_input.sae_in.shape[-1] // 2
    k = min(wanted, n_dead)
    with torch.no_grad():
        scores = torch.addmm((sae.b_enc * norms)[dead], centred, (sae.W_enc * norms)[:, dead])
        best = scores.topk(k, sorted=False).indices.sort(dim=1).values
        starts = torch.arange(0, len(inputs) * k + 1, k, device=inputs.device)
        active = Active(starts, dead[best].flatten(), scores.gather(1, best).flatten())
    summed = sae.reshape_fn_out(_reconstruct(sae, inputs, active, norms), sae.d_head)
    residual = (step_input.sae_in - sae_out).detach()
    loss = (summed - residual).pow(2).sum(dim=-1).mean()
    return sae.cfg.aux_loss_coefficient * min(n_dead / wanted, 1.0) * loss


register_sae_training_class("sparse_topk", SparseTopKTrainingSAE, SparseTopKConfig)
register_sae_training_class("sparse_batchtopk", SparseBatchTopKTrainingSAE, SparseBatchTopKConfig)
