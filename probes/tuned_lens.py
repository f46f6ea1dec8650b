"""The tuned lens: what a layer would say, once put into the terms of the last one."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint


@dataclass(frozen=True, eq=False)
class TunedLens:
    """An affine translator for each block's input: `h + A h + b` (Belrose et al., arXiv 2303.08112).

    Translator i is for `blocks.i.hook_resid_pre`, which is `blocks.(i-1).hook_resid_post`, as in the
    published lenses. What leaves the last block needs none.
    """

    weight: Float[Tensor, "layer d_model d_model"]
    """A, as `torch.nn.Linear` keeps it."""
    bias: Float[Tensor, "layer d_model"]
    """b."""
    model: str
    """Name of the checkpoint it was trained on."""

    def translate(self, point: HookPoint, h: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row d_model"]:
        """`h`, captured at `point`, as it would leave the last block.

        Raises:
            UserError: for a point that is no end of a block, and for another width.
        """
        index = lens_index(point, len(self.weight))
        if h.shape[-1] != self.bias.shape[-1]:
            raise UserError(
                f"expected activations [.., {self.bias.shape[-1]}] at {point}, got {list(h.shape)}"
            )
        if index == len(self.weight):
            return h
        weight, bias = self.weight[index].to(h), self.bias[index].to(h)
        return h + torch.nn.functional.linear(h, weight, bias)

    def check(self, checkpoint: Checkpoint) -> None:
        """UserError unless it fits this model's depth and width."""
        sizes = {"layers": (len(self.weight), checkpoint.n_layers)}
        sizes["width"] = (self.bias.shape[-1], checkpoint.d_model)
        differ = [
            f"{what} {ours} against {theirs}" for what, (ours, theirs) in sizes.items() if ours != theirs
        ]
        if differ:
            raise UserError(
                f"a lens trained on {self.model} does not fit {checkpoint.name}: {', '.join(differ)}"
            )


def lens_index(point: HookPoint, n_layers: int) -> int:
    """How many blocks have run at `point`; UserError unless it is an end of one of the `n_layers` blocks."""
    if point.site not in ("resid_pre", "resid_post") or point.layer >= n_layers:
        raise UserError(
            f"a lens reads the residual stream at resid_pre or resid_post of blocks 0 to {n_layers - 1}, "
            f"not {point}"
        )
    return point.layer + (point.site == "resid_post")
