"""The thresholds that features are judged by, and the correction for their number."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from undertext.core.config import Config, Share, read_config
from undertext.core.shipped import config_file
from undertext.core.statistics import holm
from undertext.saes.falsifying import Falsification, Shift, ShiftCuts
from undertext.saes.fates import FateCuts
from undertext.saes.sorting import Cuts


class FeatureRule(Config):
    """Thresholds; configs/features.yaml holds their values."""

    fates: FateCuts
    """What became of a feature."""
    shift: ShiftCuts
    """When token injection or a paraphrase makes a difference."""
    latents: Cuts
    """When a crosscoder's latent is of one model alone,"""
    norm: Share
    """and when by its relative decoder norm."""

    def plain(self) -> dict[str, Any]:
        """The thresholds by name, for a file."""
        return {
            "fates": self.fates._asdict(),
            "shift": self.shift._asdict(),
            "latents": self.latents._asdict(),
            "norm": self.norm,
        }


def feature_rule() -> FeatureRule:
    """The thresholds of configs/features.yaml."""
    return read_config(FeatureRule, config_file("features.yaml"))


def corrected(trial: Falsification, tested: Bool[Tensor, " d_sae"]) -> Falsification:
    """The same with p values corrected by Holm over the features `tested` and over both trials.

    The p values of the others, and of `reasoning`, which nothing is decided by, stay as they are.
    """
    found = {"injection": trial.injection, "paraphrase": trial.paraphrase}
    given = {name: each for name, each in found.items() if each is not None}
    for test in ("welch", "mann_whitney"):
        p = torch.cat([getattr(each, test)[tested] for each in given.values()])
        parts = torch.tensor(holm(p.tolist()), dtype=p.dtype).chunk(len(given)) if len(p) else ()
        for name, part in zip(given, parts, strict=False):
            given[name] = _with(given[name], test, part, tested)
    return replace(trial, **given)


def _with(shift: Shift, test: str, p: Tensor, tested: Bool[Tensor, " d_sae"]) -> Shift:
    whole = getattr(shift, test).clone()
    whole[tested] = p
    return replace(shift, **{test: whole})
