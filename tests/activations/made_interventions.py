"""Interventions of every kind, and the hooks that they may leave on a model."""

import torch
from torch import nn

from undertext.activations import HookPoint, Intervention
from undertext.activations.operators import ON_SUBSPACES, WITH_CENTRE, Operator

DOSES: dict[Operator, float] = {
    "add": 3.0,
    "ablate": 1.0,
    "clamp": 5.0,
    "affine": 0.8,
    "rotate": 0.4,
    "replace": 0.7,
}


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def vector(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*(shape or (32,)), generator=torch.Generator().manual_seed(seed))


def intervention(operator: Operator, row: int, **options) -> Intervention:
    """One of its kind; subspace operators act on a span of three directions in every other row."""
    shape = (3, 32) if operator in ON_SUBSPACES and row % 2 else (32,)
    centre = vector(900 + row) if operator in WITH_CENTRE else None
    options = {"point": HookPoint(row % 3, "resid_post"), "dose": DOSES[operator], **options}
    return Intervention(vector=vector(row, *shape), operator=operator, centre=centre, **options)
