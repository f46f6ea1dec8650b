"""One checkpoint's probes on another's activations: the same code, a rotated one, or gone."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.decoding.config import DecodingConfig
from undertext.measures.decoding.kinds import Fitted
from undertext.measures.decoding.positions import Gathered, Located
from undertext.measures.decoding.table import FittedProbes, Row
from undertext.measures.decoding.transfer import Entries, share
from undertext.measures.decoding.values import values_of
from undertext.probes import linear_cka, mispaired_rows, principal_angles, procrustes, random_subspaces

PAIR_SEED, ANGLE_SEED = 14, 15
"""Added to the job's seed."""


def read_across(
    target: Mapping[str, Gathered],
    source: Mapping[str, Gathered],
    own: FittedProbes,
    fitted: FittedProbes,
    located: Located,
    config: DecodingConfig,
    layers: list[int],
    names: tuple[str, str, str],
) -> list[Row]:
    """Rows of the transfer table from one checkpoint (`source`, its probes `fitted`) to another (`target`,
    its probes `own`); `names`: read on, fitted on, and the task's.

    Alignments are fitted, without labels, to what both have at all the tokens of a position in dev. Were they
    fitted at the tokens that the probe was fitted to, a probe that learnt noise by heart would read the
    target's code through them.
    """
    read_on, fitted_on, task = names
    splits = [split for split in located if split != FIT]
    ends = (fitted_on, read_on)
    rows: list[Row] = []
    values = values_of(located, config, task)
    for position in dict.fromkeys(value.position for value in values):
        shared = Entries("checkpoint", task, config.seed, position=str(position))
        from_source, problem = source[CHOOSE].at(position)
        from_target, _ = target[CHOOSE].at(position)
        generator = torch.Generator().manual_seed(config.seed + PAIR_SEED)
        alignment = procrustes(from_target, from_source)
        mispaired = procrustes(from_target, from_source[:, mispaired_rows(problem, generator)])
        for split in splits:
            both = (each[split].at(position)[0] for each in (source, target))
            similarity, n = _cka(*both), len(source[split].at(position)[1])
            rows += shared.layers(*ends, "cka", split, similarity, n, layers)
        for value in (each for each in values if each.position == position):
            for kind in dict.fromkeys(config.probes):
                entries = shared._replace(value=value, probe=kind)
                probe = fitted[position, value.name, kind]
                for split in splits:
                    X, y = target[split].rows(position, value.name), value.y[split]
                    seen = {
                        "accuracy": X,
                        "shifted": alignment.shift(X),
                        "aligned": alignment.apply(X),
                        "mispaired": mispaired.apply(X),
                    }
                    for measure, moved in seen.items():
                        right = share(probe.right(moved, y))
                        rows += entries.layers(*ends, measure, split, right, len(y), layers)
                rank = config.rank if kind == "low_rank" else len(value.classes) - 1
                angles = _angles(probe, own[position, value.name, kind], rank, config)
                for measure, angle in angles.items():
                    rows += entries.layers(*ends, measure, None, angle, len(value.y[FIT]), layers)
    return rows


def _cka(X: Float[Tensor, "layer m d"], Y: Float[Tensor, "layer m d"]) -> Float[Tensor, " layer"]:
    """Debiased; NaN at a layer where activations do not vary, or of too few tokens."""
    similarity = torch.full((len(X),), torch.nan)
    for layer, (x, y) in enumerate(zip(X, Y, strict=True)):
        try:
            similarity[layer] = linear_cka(x, y, debiased=True)
        except UserError:
            continue
    return similarity


def _angles(
    one: Fitted, other: Fitted, rank: int, config: DecodingConfig
) -> dict[str, Float[Tensor, " layer"]]:
    """Mean principal angle between what two probes read, in degrees, and with a random subspace instead."""
    span = one.span(rank)
    k, d = span.shape[1:]
    drawn = random_subspaces(len(span), k, d, seed=config.seed + ANGLE_SEED).to(span)
    return {
        "angle": principal_angles(span, other.span(rank)).rad2deg().mean(-1),
        "angle_random": principal_angles(span, drawn).rad2deg().mean(-1),
    }
