"""A crosscoder: one dictionary for two checkpoints, one encoder that reads both and a decoder for each."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.saes.sae_type import SAE

ROWS = 2048
"""Rows measured at a time."""


@dataclass(frozen=True)
class Normalisation:
    """What makes activations of two models and several layers comparable: (x - mean) * scale, for each."""

    means: Float[Tensor, "model point d_model"]
    scales: Float[Tensor, "model point"]

    @classmethod
    def of(cls, activations: Float[Tensor, "model point n d_model"]) -> "Normalisation":
        """Means of the rows, and scales that bring the rows about them to a mean norm of sqrt(d_model)."""
        means = activations.mean(dim=2)
        norms = (activations - means.unsqueeze(2)).norm(dim=-1).mean(dim=2)
        if not (norms > 0).all():
            raise UserError("expected activations that vary at every hook point of both checkpoints")
        return cls(means, activations.shape[-1] ** 0.5 / norms)

    def apply(self, activations: Float[Tensor, "model point n d_model"]) -> Float[Tensor, "n width"]:
        """The normalised activations side by side: base, then tuned; in each, the points in order."""
        normal = (activations - self.means.unsqueeze(2)) * self.scales[..., None, None]
        return normal.permute(2, 0, 1, 3).flatten(1)


@dataclass(frozen=True, eq=False)
class Crosscoder:
    """Latents of base and tuned together. Models stand in the order base, tuned."""

    points: tuple[HookPoint, ...]
    """The hook points it reads in both models."""
    encoders: Float[Tensor, "model point d_model d_sae"]
    encoder_bias: Float[Tensor, " d_sae"]
    threshold: Float[Tensor, " d_sae"]
    """A latent fires when what it reads is above this."""
    decoders: Float[Tensor, "model point d_sae d_model"]
    """What a latent writes in each model when it fires with strength 1."""
    decoder_bias: Float[Tensor, "model point d_model"]
    scales: Float[Tensor, "model point"]
    """What each part was multiplied by in training; decoder norms are compared in those units."""

    def encode(
        self, base: Float[Tensor, "point n d_model"], tuned: Float[Tensor, "point n d_model"]
    ) -> Float[Tensor, "n d_sae"]:
        """How strongly each latent fires, given the same rows of both checkpoints.

        UserError when points or width are not those that it reads.
        """
        both = self._stacked(base, tuned)
        read = torch.einsum("mpnd,mpds->ns", both, self.encoders) + self.encoder_bias
        return torch.where(read > self.threshold, read.relu(), 0.0)

    def decode(self, latents: Float[Tensor, "n d_sae"]) -> Float[Tensor, "model point n d_model"]:
        """The reconstruction of each model's activations, in their own units."""
        return torch.einsum("ns,mpsd->mpnd", latents, self.decoders) + self.decoder_bias.unsqueeze(2)

    def weights(self) -> dict[str, Tensor]:
        """All its tensors, by name."""
        names = ("encoders", "encoder_bias", "threshold", "decoders", "decoder_bias", "scales")
        return {name: getattr(self, name) for name in names}

    def norms(self) -> Float[Tensor, "model d_sae"]:
        """Each latent's decoder norm in each model, over all points, in the units of training."""
        return (self.decoders * self.scales[..., None, None]).permute(0, 2, 1, 3).flatten(2).norm(dim=-1)

    def cosines(self) -> Float[Tensor, " d_sae"]:
        """Cosine of each latent's decoders in base and tuned, over all points, in the units of training; 0
        where a model's decoder is zero."""
        base, tuned = (self.decoders * self.scales[..., None, None]).permute(0, 2, 1, 3).flatten(2)
        return torch.nn.functional.cosine_similarity(base, tuned, dim=-1)

    def explained(
        self, base: Float[Tensor, "point n d_model"], tuned: Float[Tensor, "point n d_model"]
    ) -> Float[Tensor, " model"]:
        """Explained variance of each model's activations on these rows: 1 less the summed squared error over
        the squares about the mean row, in the units of training. NaN where a model's rows are all equal.
        """
        both = self._stacked(base, tuned)
        weights = self.scales.double()[..., None, None] ** 2
        mean = both.mean(dim=2, keepdim=True, dtype=torch.float64)
        errors, spread = torch.zeros(2, len(both), dtype=torch.float64)
        for some in both.split(ROWS, dim=2):  # what is exact in float64 would take twice the memory at once
            written = self.decode(self.encode(some[0], some[1])).double()
            errors += ((written - some).pow(2) * weights).sum(dim=(1, 2, 3))
            spread += ((some - mean).pow(2) * weights).sum(dim=(1, 2, 3))
        return 1 - errors / torch.where(spread > 0, spread, torch.nan)

    def _stacked(
        self, base: Float[Tensor, "point n d_model"], tuned: Float[Tensor, "point n d_model"]
    ) -> Float[Tensor, "model point n d_model"]:
        wanted = (self.encoders.shape[1], self.encoders.shape[2])
        for name, part in (("base", base), ("tuned", tuned)):
            if (part.shape[0], part.shape[2]) != wanted or part.shape != base.shape:
                raise UserError(
                    f"expected {name} activations [{wanted[0]}, n, {wanted[1]}] of"
                    f" {', '.join(map(str, self.points))}, the same rows of both, got {list(part.shape)}"
                )
        return torch.stack((base, tuned)).to(self.encoders)


def split(sae: SAE, points: tuple[HookPoint, ...], normal: Normalisation) -> Crosscoder:
    """The crosscoder in an SAE (`jumprelu`) trained on `normal.apply(...)`, the normalisation folded in."""
    means, scales = normal.means.cpu(), normal.scales.cpu()
    parts = tuple(means.shape)
    with torch.no_grad():
        W_enc, W_dec = (weight.detach().to("cpu", torch.float32) for weight in (sae.W_enc, sae.W_dec))
        b_enc, b_dec = (bias.detach().to("cpu", torch.float32) for bias in (sae.b_enc, sae.b_dec))
        by_width = scales[..., None]
        encoders = W_enc.unflatten(0, parts) * by_width[..., None]
        centre = b_dec.unflatten(0, parts) * bool(sae.cfg.apply_b_dec_to_input) / by_width + means
        return Crosscoder(
            points=points,
            encoders=encoders,
            encoder_bias=b_enc - torch.einsum("mpd,mpds->s", centre, encoders),
            threshold=sae.threshold.detach().to("cpu", torch.float32),
            decoders=W_dec.unflatten(1, parts).permute(1, 2, 0, 3) / by_width[..., None],
            decoder_bias=b_dec.unflatten(0, parts) / by_width + means,
            scales=scales,
        )
