"""Latent scaling: how much of each latent of a crosscoder there is in each model's activations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.saes.crosscoder import Crosscoder

CHUNK = 1024
"""Latents whose decoders are compared with all others at a time."""


class ScalingCuts(NamedTuple):
    """Thresholds by which latents are compared with one another."""

    leaning: float
    """A latent leans to a model when its decoder in the other model has less than this share of its norm."""
    echo: float
    """A latent that leans to one model echoes another latent when what it writes in the other model has,
    along what the other latent writes there, this share of its norm in its own model."""
    same: float
    """Two latents write the same in a model when their decoders there have this absolute cosine."""
    one_feature: float
    """Two latents that write the same in one model are of one feature when less than this share of the
    decoder's norm is left in the model that holds more of the latent, once the other's direction is taken
    out."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the rows say of each latent, by least squares (latent scaling; Minder et al., arXiv 2504.02922).

    A beta is the factor by which f_j d_j, what latent j writes, is best scaled to explain a target. Targets
    are those of the authors' code (science-of-finetuning/sparsity-artifacts-crosscoders): the `error`, what
    all other latents leave over of a model's activations; and the `reconstruction`, what all latents together
    write. Unlike there, the fits have an intercept: latents are never negative, so that without one the mean
    of a target counts as explained. All in the units of training; NaN where a latent never fires.
    """

    norms: Float[Tensor, "model d_sae"]
    """Norm of d_j in each model."""
    fired: Float[Tensor, " d_sae"]
    """Share of the rows that a latent fires at."""
    own: Float[Tensor, "model d_sae"]
    """Beta on the error of each model with the model's own d_j: 1 where its activations hold what the
    decoder says."""
    error: Float[Tensor, "model d_sae"]
    """Beta on the error of each model with d_j of the model that holds more of the latent."""
    reconstruction: Float[Tensor, "model d_sae"]
    """Beta on the reconstruction, with the same d_j."""
    beyond: Float[Tensor, "model d_sae"]
    """How much of a latent each model holds beyond what another latent writes: `held`, but where it writes
    the same as another in the model that holds less, times the share of its decoder's norm that is left when
    the other's direction is taken out. A latent in which training merged a feature of one model alone with
    part of a shared one that it fires along with writes that part in the other model. Where too little is
    left in the stronger model (`one_feature`), the two are of one feature, and nothing is taken out."""
    co_firing: Float[Tensor, " d_sae"]
    """How much a latent that leans to one model fires along with the one most like it that leans to the
    other, of those pairs of which one echoes the other: rows at which both fire, over the geometric mean of
    those at which each does. 0 for a latent that leans to neither, or has no such pair.

    Firing along is not enough: features of either model alone that fire only where one shared feature does
    meet at many rows too. Of a feature that was split into two latents, each is fitted to what is left of
    it in the other model at rows at which the other latent stays silent, and so writes a little along it."""

    @property
    def held(self) -> Float[Tensor, "model d_sae"]:
        """How much of a latent each model holds: own beta times norm, and none where that is negative."""
        return (self.own * self.norms).nan_to_num(0.0).clamp(min=0.0)

    @property
    def stronger(self) -> Int[Tensor, " d_sae"]:
        """The model that holds more of a latent: 0 base, 1 tuned."""
        return self.held.argmax(dim=0)

    def ratio(self, values: Float[Tensor, "model d_sae"]) -> Float[Tensor, " d_sae"]:
        """The weaker model's value over the stronger's (nu of `error` and `reconstruction` in the paper)."""
        strong = self.stronger[None]
        return (values.gather(0, 1 - strong) / values.gather(0, strong))[0]


@torch.no_grad()
def latent_scaling(
    crosscoder: Crosscoder,
    pairs: Iterable[tuple[Float[Tensor, "point n d_model"], Float[Tensor, "point n d_model"]]],
    cuts: ScalingCuts,
) -> Scaling:
    """Scaling of every latent over the rows of `pairs`, batches of base and tuned, in one pass.

    With S_j the sum of squares of f_j about its mean and c_j the sum of products of f_j and target about
    theirs, beta = <d_j, c_j> / (S_j |d_j|^2) and v = c_j / S_j. Leaving j out adds f_j d_j to the error, and
    so S_j d_j to c_j: no second pass. UserError when there are no rows.
    """
    scales = crosscoder.scales[..., None, None]
    decoders = (crosscoder.decoders * scales).permute(0, 2, 1, 3).flatten(2).double()
    models, d_sae, width = decoders.shape
    norms = decoders.norm(dim=-1)
    leaning = [(norms[1 - model] < cuts.leaning * norms[model]).nonzero()[:, 0] for model in range(2)]
    together = torch.zeros(len(leaning[0]), len(leaning[1]))
    products = {name: torch.zeros_like(decoders) for name in ("error", "reconstruction")}
    sums = {name: torch.zeros(models, 1, width, dtype=torch.float64) for name in products}
    total, squares, fired = (torch.zeros(d_sae, dtype=torch.float64) for _ in range(3))
    rows = 0
    for base, tuned in pairs:
        latents = crosscoder.encode(base, tuned).double()
        both = (torch.stack((base, tuned)).to(scales) - crosscoder.decoder_bias.unsqueeze(2)) * scales
        reconstruction = latents @ decoders
        targets = {
            "error": both.permute(0, 2, 1, 3).flatten(2) - reconstruction,
            "reconstruction": reconstruction,
        }
        for name, target in targets.items():
            products[name] += latents.t() @ target
            sums[name] += target.sum(dim=1, keepdim=True)
        total += latents.sum(dim=0)
        squares += latents.pow(2).sum(dim=0)
        fires = (latents > 0).float()
        fired += fires.sum(dim=0)
        together += fires[:, leaning[0]].t() @ fires[:, leaning[1]]
        rows += len(latents)
    if rows == 0:
        raise UserError("expected rows of base and tuned, got none")
    spread = (squares - total**2 / rows)[:, None]
    fits = {name: (products[name] - total[:, None] * sums[name] / rows) / spread for name in products}
    left_over = fits["error"] + decoders
    own = _beta(left_over, decoders)
    held = (own * norms).nan_to_num(0.0).clamp(min=0.0)
    stronger = held.argmax(dim=0)
    direction = decoders[stronger, torch.arange(d_sae)]
    return Scaling(
        norms=norms.float(),
        fired=(fired / rows).float(),
        own=own.float(),
        error=_beta(left_over, direction).float(),
        reconstruction=_beta(fits["reconstruction"], direction).float(),
        beyond=_beyond(decoders, held, cuts).float(),
        co_firing=_co_firing(together, fired, leaning, decoders, cuts.echo),
    )


def _beta(
    fit: Float[Tensor, "model d_sae width"], direction: Float[Tensor, "*model d_sae width"]
) -> Float[Tensor, "model d_sae"]:
    """The fitted vectors along the directions, in units of these."""
    return (fit * direction).sum(dim=-1) / direction.pow(2).sum(dim=-1)


def _beyond(
    decoders: Float[Tensor, "model d_sae width"], held: Float[Tensor, "model d_sae"], cuts: ScalingCuts
) -> Float[Tensor, "model d_sae"]:
    stronger, latents = held.argmax(dim=0), torch.arange(decoders.shape[1])
    directions = torch.nn.functional.normalize(decoders, dim=-1)
    nearest, cosine = latents.clone(), torch.zeros(len(latents), dtype=decoders.dtype)
    for model in range(2):
        weak = (stronger != model).nonzero()[:, 0]
        for some in weak.split(CHUNK):
            cosines = (directions[model, some] @ directions[model].t()).abs()
            cosines[torch.arange(len(some)), some] = 0.0
            cosine[some], nearest[some] = cosines.max(dim=1)
    other = directions[:, nearest]
    rest = decoders - (decoders * other).sum(dim=-1, keepdim=True) * other
    left = rest.norm(dim=-1) / decoders.norm(dim=-1).clamp(min=torch.finfo(decoders.dtype).tiny)
    merged = (cosine >= cuts.same) & (left[stronger, latents] >= cuts.one_feature)
    return torch.where(merged, held * left, held)


def _co_firing(
    together: Float[Tensor, "base_leaning tuned_leaning"],
    fired: Float[Tensor, " d_sae"],
    leaning: Sequence[Int[Tensor, " _"]],
    decoders: Float[Tensor, "model d_sae width"],
    echo: float,
) -> Float[Tensor, " d_sae"]:
    co_firing = torch.zeros(len(fired))
    if together.numel():
        counts = [fired[latents].clamp(min=1).sqrt().float() for latents in leaning]
        alike = together / counts[0][:, None] / counts[1]
        echoes = torch.maximum(_echo(decoders, 0, *leaning), _echo(decoders, 1, *leaning[::-1]).t())
        alike = alike.where(echoes >= echo, 0.0)
        co_firing[leaning[0]], co_firing[leaning[1]] = alike.amax(dim=1), alike.amax(dim=0)
    return co_firing


def _echo(
    decoders: Float[Tensor, "model d_sae width"],
    model: int,
    own: Int[Tensor, " own"],
    others: Int[Tensor, " others"],
) -> Float[Tensor, "own others"]:
    """What latents that lean to `model` write in the other one along what others write there, over their norm
    in their own."""
    there = torch.nn.functional.normalize(decoders[1 - model, others], dim=-1)
    return decoders[1 - model, own] @ there.t() / decoders[model, own].norm(dim=-1, keepdim=True)
