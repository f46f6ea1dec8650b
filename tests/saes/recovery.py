"""How much of a planted pair of models a crosscoder finds, and how well its latents are sorted.

As a command it writes the table of docs/saes.md: python -m tests.saes.recovery
"""

import contextlib
import io
from typing import Any, NamedTuple

import torch

from tests.saes.planted import Planted, planted_pair
from undertext.activations.hookpoint import HookPoint
from undertext.measures.features.rule import feature_rule
from undertext.saes.config import Training
from undertext.saes.crosscoder_training import train_crosscoder
from undertext.saes.scaling import latent_scaling
from undertext.saes.sorting import (
    KINDS,
    SortedLatents,
    relative_norm,
    sort_by_norm,
    sort_latents,
)

WANTED = {"shared": "shared", "rotated": "shared", "base_only": "base_only", "tuned_only": "tuned_only"}
RULE = feature_rule()
MATCHED = 0.8
"""A latent stands for a planted feature when its decoder in the stronger model has this cosine with it."""
RARE = 1e-3
"""A latent that fires at a smaller share of rows than this stands for nothing."""


class Recovered(NamedTuple):
    """Of one planted pair."""

    cosine: float
    """Mean over features of the largest cosine with a latent, over both decoders together."""
    by_scaling: float
    """Share of the latents that stand for a feature that are sorted right."""
    by_norm: float
    """The same, by relative decoder norm alone, cut at 0.1 and 0.9."""
    by_bins: float
    """The same, where in addition a shared latent's relative norm must be within 0.4 to 0.6."""
    features_by_scaling: float
    """Share of the features whose nearest latent is sorted right."""
    features_by_norm: float
    explained: float
    latents: int
    """Latents that stand for a feature."""


def recovery(
    *,
    seed: int,
    own_strength: float = 0.0,
    together: bool = False,
    per_kind: int = 24,
    d_model: int = 48,
    n: int = 40_000,
    steps: int = 1500,
) -> Recovered:
    """Plant features, train a crosscoder with a third more latents than features, and compare."""
    planted = planted_pair(
        seed=seed, own_strength=own_strength, together=together, per_kind=per_kind, d_model=d_model, n=n
    )
    features = len(planted.kinds)
    config = Training(
        d_sae=features * 4 // 3,
        k=features * 0.04,
        steps=steps,
        batch_size=1024,
        lr=2e-3,
        held_out=1024,
        dead_after=200,
        seed=seed,
    )
    trained = train_crosscoder((planted.base, planted.tuned), config, points=(HookPoint(0, "resid_post"),))
    crosscoder = trained.crosscoder
    scaling = latent_scaling(crosscoder, [(planted.base, planted.tuned)], RULE.scaling)
    by_scaling, by_norm = sort_latents(scaling, RULE.latents), sort_by_norm(scaling, RULE.norm)
    alive = scaling.fired > RARE
    nearest, cosines = _nearest_latents(planted, crosscoder.decoders[:, 0], crosscoder.scales[:, 0], alive)
    stands, feature = _features_of(planted, crosscoder.decoders[:, 0], scaling.stronger, alive)
    truth = torch.tensor([KINDS.index(WANTED[kind]) for kind in planted.kinds])

    def right(kinds: SortedLatents) -> torch.Tensor:
        return kinds.index[stands] == truth[feature[stands]]

    relative = relative_norm(scaling.norms)[stands]
    shared = truth[feature[stands]] == KINDS.index("shared")
    within = ((relative > 0.4) & (relative < 0.6)) | ~shared
    return Recovered(
        cosine=cosines.mean().item(),
        by_scaling=right(by_scaling).float().mean().item(),
        by_norm=right(by_norm).float().mean().item(),
        by_bins=(right(by_norm) & within).float().mean().item(),
        features_by_scaling=(by_scaling.index[nearest] == truth).float().mean().item(),
        features_by_norm=(by_norm.index[nearest] == truth).float().mean().item(),
        explained=trained.fidelity.explained_variance,
        latents=int(stands.sum()),
    )


def _nearest_latents(planted: Planted, decoders: torch.Tensor, scales: torch.Tensor, alive: torch.Tensor):
    """For each feature, the latent nearest to it over both models, each in the units of training."""
    sides = [
        torch.nn.functional.normalize((part * scales[:, None, None]).permute(1, 0, 2).flatten(1), dim=1)
        for part in (planted.directions, decoders)
    ]
    cosines = sides[0] @ sides[1].t()
    cosines[:, ~alive] = 0
    best = cosines.max(dim=1)
    return best.indices, best.values


def _features_of(planted: Planted, decoders: torch.Tensor, stronger: torch.Tensor, alive: torch.Tensor):
    """Which latents stand for a feature, and for which: by the decoder of the model that holds more of it."""
    cosines = torch.einsum(
        "mfd,msd->msf",
        torch.nn.functional.normalize(planted.directions, dim=-1),
        torch.nn.functional.normalize(decoders, dim=-1),
    )[stronger, torch.arange(len(stronger))]
    best = cosines.max(dim=1)
    return alive & (best.values > MATCHED), best.indices


def main() -> None:
    """The table, a row for each setting; figures are means over three seeds that no cut was chosen on."""
    torch.set_num_threads(1)
    names = ("planted", "mean max cosine", "explained variance", "by scaling", "by norm", "by norm, in bins")
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    settings: dict[str, dict[str, Any]] = {
        "one strength in both models": {},
        "own strengths, 0.4": {"own_strength": 0.4},
        "own strengths, 0.6": {"own_strength": 0.6},
        "own strengths, 0.8": {"own_strength": 0.8},
        "fire together": {"together": True},
    }
    for name, setting in settings.items():
        with contextlib.redirect_stderr(io.StringIO()):  # sae-lens's progress bar
            runs = [recovery(seed=seed, **setting) for seed in (1, 2, 3)]
        shown = [
            sum(getattr(run, field) for run in runs) / len(runs)
            for field in ("cosine", "explained", "by_scaling", "by_norm", "by_bins")
        ]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in shown) + " |", flush=True)


if __name__ == "__main__":
    main()
