"""The thresholds that features are judged by. Measures receive them; they hold none of their own."""

from typing import Any

from undertext.core.config import Config, Share, read_config
from undertext.core.shipped import config_file
from undertext.saes.falsifying import ShiftCuts
from undertext.saes.fates import FateCuts
from undertext.saes.scaling import ScalingCuts
from undertext.saes.sorting import LatentCuts


class FeatureRule(Config):
    """Thresholds; configs/features.yaml holds their values and why."""

    level: Share
    """Coverage of every interval."""
    fates: FateCuts
    """What became of a feature in a tune."""
    shift: ShiftCuts
    """When token injection or a paraphrase changes a feature's strength."""
    latents: LatentCuts
    """When a crosscoder's latent belongs to one model alone."""
    scaling: ScalingCuts
    """When two latents of a crosscoder are compared with each other."""
    norm: Share
    """When a latent belongs to one model alone by its relative decoder norm."""
    keeps: Share
    """Least share of a checkpoint that an SAE or crosscoder keeps without a flag."""

    def plain(self) -> dict[str, Any]:
        """The thresholds by name, for a file."""
        cuts = {name: getattr(self, name)._asdict() for name in ("fates", "shift", "latents", "scaling")}
        return {"level": self.level, **cuts, "norm": self.norm, "keeps": self.keeps}


def feature_rule() -> FeatureRule:
    """The thresholds of configs/features.yaml."""
    return read_config(FeatureRule, config_file("features.yaml"))
