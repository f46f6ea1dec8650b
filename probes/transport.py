"""One checkpoint's probe on another's activations: the same code, re-encoded by a rotation, or gone."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.alignment import mispaired_rows, procrustes
from undertext.probes.labelled import Labelled, Recipe, fitted, hits, shared_folds
from undertext.probes.logistic_cv import LogisticProbeCV

READINGS = ("source", "unchanged", "shifted", "aligned", "mispaired", "fresh")


@dataclass(frozen=True, eq=False)
class Transported:
    """Whether each row is read right, by probes fitted on other problems: `[*slice, *target, n]` each."""

    source: Bool[Tensor, "*slice_target n"]
    """The source's probe on the source's activations: what there is to transport."""
    unchanged: Bool[Tensor, "*slice_target n"]
    """The same probe on the target's activations as they are."""
    shifted: Bool[Tensor, "*slice_target n"]
    """After the difference of means is taken off."""
    aligned: Bool[Tensor, "*slice_target n"]
    """After Procrustes alignment of the target's activations to the source's."""
    mispaired: Bool[Tensor, "*slice_target n"]
    """After alignment to the source's activations of other rows: what fitting a rotation gives by itself."""
    fresh: Bool[Tensor, "*slice_target n"]
    """A probe fitted on the target's own activations."""

    @property
    def accuracy(self) -> dict[str, Float[Tensor, "*slice_target"]]:
        """Share of rows read right, by name of the field."""
        return {name: getattr(self, name).float().mean(-1) for name in READINGS}


def transport(
    source: Labelled,
    target: Float[Tensor, "*slice n d"],
    *,
    recipe: Recipe = LogisticProbeCV,
    folds: int = 5,
    seed: int = 0,
) -> Transported:
    """Transport a probe from the source's activations to the target's of the same rows (`source.y`).

    For each fold of problems, probes are fitted to one half of the others and alignments, which see no
    labels, to the other half; both are read on it. Fitted to the same rows, a probe that learnt noise by
    heart would tell the target what its labels were, by way of the alignment.

    UserError where shapes differ, for fewer than 3 folds, and where a probe refuses its rows.
    """
    if folds < 3:
        raise UserError(f"transport takes 3 folds or more: to fit, to align and to read, got {folds}")
    if target.shape != source.X.shape:
        raise UserError(
            f"expected the target's activations of the same rows, {list(source.X.shape)}, got "
            f"{list(target.shape)}"
        )
    other = Labelled(target, source.y, source.problem)
    fold = shared_folds({"": source}, folds, seed)[""]
    generator = torch.Generator().manual_seed(seed)
    out: dict[str, Tensor] = {}
    for each in range(folds):
        held, order = fold == each, (fold - each) % folds
        to_fit, to_align = (~held & (order % 2 == part) for part in (1, 0))
        own = other.take(to_fit)
        probe = fitted(recipe, source.take(to_fit))
        here, there = other.take(to_align), source.take(to_align)
        alignment = procrustes(here.X, there.X)
        mispaired = procrustes(here.X, there.take(mispaired_rows(there.problems, generator)).X)
        read, y = other.take(held).X, source.y[held.to(source.y.device)]
        found = {
            "source": hits(probe, source.take(held).X, y),
            "unchanged": hits(probe, read, y),
            "shifted": hits(probe, alignment.shift(read), y),
            "aligned": hits(probe, alignment.apply(read), y),
            "mispaired": hits(probe, mispaired.apply(read), y),
            "fresh": hits(fitted(recipe, own), read, y),
        }
        for name, right in found.items():
            whole = out.setdefault(name, right.new_zeros(*right.shape[:-1], len(fold)))
            whole[..., held.to(right.device)] = right
    return Transported(**out)
