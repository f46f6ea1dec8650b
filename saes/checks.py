"""Whether an SAE fits where it is to read."""

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.saes.sae_type import SAE


def check_reads(sae: SAE, checkpoint: Checkpoint, point: HookPoint) -> None:
    """UserError unless `sae` reads activations of this width, and was not trained at another hook point."""
    trained_at = sae.cfg.metadata.hook_name
    if trained_at not in (None, str(point)):
        raise UserError(f"this SAE was trained at {trained_at}, not at {point}")
    if sae.cfg.d_in != checkpoint.width(point):
        raise UserError(
            f"this SAE reads activations of width {sae.cfg.d_in}, {checkpoint.name} has"
            f" {checkpoint.width(point)} at {point}"
        )
