"""Where an SAE reads, and whether it fits there."""

import re
from typing import Any

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.hookpoint import HookPoint
from undertext.saes.sae_type import SAE

_OTHER_NAMES = {"hook_in": "hook_resid_pre", "hook_out": "hook_resid_post", "hook_z": "attn.hook_z"}
"""What TransformerLens's versions call a block's ends and heads, beside the names of `HookPoint`."""


def trained_at(sae: SAE, checkpoint: Checkpoint) -> HookPoint | None:
    """The hook point that an SAE was trained at; None where its metadata do not say.

    They may name it as TransformerLens does, or by the module of the checkpoint that puts it out, as Hugging
    Face does (`model.layers.1`). The stream between two blocks counts as `resid_post` of the first. Raises
    UserError for a name that is neither.
    """
    name = sae.cfg.metadata.hook_name
    if not name:
        return None
    if match := re.fullmatch(r"(blocks\.\d+)\.(hook_\w+)", name):
        name = f"{match[1]}.{_OTHER_NAMES.get(match[2], match[2])}"
    modules: dict[str, Any] = dict(checkpoint.model.named_modules())
    module = next(
        (modules[path] for path in (name, f"model.{name}", f"transformer.{name}") if path in modules), None
    )
    for point, place in checkpoint.layout.places.items():
        if place.module is module and place.side == "out":
            return point
    try:
        return _in_stream(HookPoint.parse(name))
    except UserError as error:
        raise UserError(f"this SAE says that it reads {shown(repr(name), 80)}: {error}") from None


def check_reads(sae: SAE, checkpoint: Checkpoint, point: HookPoint) -> None:
    """UserError unless `sae` reads activations of this width, and was not trained at another hook point."""
    trained = trained_at(sae, checkpoint)
    if trained not in (None, _in_stream(point)):
        raise UserError(f"this SAE was trained at {trained}, not at {point}")
    if sae.cfg.d_in != checkpoint.width(point):
        raise UserError(
            f"this SAE reads activations of width {sae.cfg.d_in}, {checkpoint.name} has"
            f" {checkpoint.width(point)} at {point}"
        )


def _in_stream(point: HookPoint) -> HookPoint:
    """The point by its one name: what a block receives is what the block before handed on."""
    between = point.site == "resid_pre" and point.layer > 0
    return HookPoint(point.layer - 1, "resid_post") if between else point
