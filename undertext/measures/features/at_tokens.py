"""A feature of an SAE at every token of outputs, in the pass that reads them."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.forced import Read
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import Role
from undertext.saes import encode, fingerprint

ROWS = 2048
"""Rows encoded at a time: all of an SAE's features of a row are computed for one of them."""


class TokenFeature(NamedTuple):
    """One feature of an SAE, and how base and tuned are scaled for it."""

    sae: Any
    point: HookPoint
    feature: int
    scales: Mapping[Role, float]
    """What each checkpoint's activations are multiplied by first."""

    def reading(self, role: Role) -> Read:
        """The strength at which the feature fires; 0 where it is silent."""

        def figure(X: Float[Tensor, "n d_model"], texts: Sequence[int]) -> Float[Tensor, " n"]:
            parts = [encode(self.sae, rows * self.scales[role])[:, self.feature] for rows in X.split(ROWS)]
            return torch.cat(parts)

        return Read(self.point, figure)

    def digest(self, role: Role) -> str:
        """Of all that a checkpoint's readings depend on beside the outputs."""
        of = fingerprint(self.sae.state_dict()), str(self.point), self.feature, self.scales[role]
        return sha256(repr(of).encode()).hexdigest()[:32]
