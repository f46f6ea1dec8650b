"""An SAE as a job is given it, and where it reads."""

from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import check_point
from undertext.jobs.sae_features.config import ReadConfig
from undertext.saes import load_sae
from undertext.saes.checks import check_reads


class Opened(NamedTuple):
    """An SAE and its hook point."""

    sae: Any
    point: HookPoint


def open_sae(source: str | Path, sae_id: str | None, checkpoint: Checkpoint, config: ReadConfig) -> Opened:
    """Load the SAE of a folder, or `sae_id` of a release, and check that it reads this checkpoint.

    UserError when there is none, when neither it nor the config says where it reads, and when hook point or
    width do not fit.
    """
    sae = load_sae(source, sae_id, device=config.device)
    said = sae.cfg.metadata.hook_name
    if config.layer is not None:
        point = HookPoint(config.layer, config.site)
    elif said:
        point = HookPoint.parse(str(said))
    else:
        raise UserError(f"the SAE {source} does not say where it reads: give its layer and site")
    check_point(checkpoint, point)
    check_reads(sae, checkpoint, point)
    return Opened(sae, point)
