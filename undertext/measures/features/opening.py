"""An SAE as a job is given it, and where it reads."""

from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import check_point
from undertext.core.setup import device_here
from undertext.measures.features.config import EncodingConfig
from undertext.saes import load_sae
from undertext.saes.checks import check_reads, trained_at


class OpenedSae(NamedTuple):
    """An SAE and the hook point that it reads."""

    sae: Any
    point: HookPoint


def open_sae(
    source: str | Path, sae_id: str | None, checkpoint: Checkpoint, config: EncodingConfig
) -> OpenedSae:
    """Load the SAE of a folder, or `sae_id` of a release, and check that it reads this checkpoint.

    UserError when there is none, when neither the SAE nor the config names a hook point, and when hook point
    or width do not fit.
    """
    sae = load_sae(source, sae_id, device=device_here(config.device))
    named = trained_at(sae, checkpoint)
    point = named if config.layer is None else HookPoint(config.layer, config.site)
    if point is None:
        raise UserError(f"the SAE {source} does not say where it reads: give its layer and site")
    check_point(checkpoint, point)
    check_reads(sae, checkpoint, point)
    return OpenedSae(sae, point)
