"""The settings of `sae diff`."""

from typing import Literal

from pydantic import Field

from undertext.core.config import PairConfig
from undertext.core.terms import FeatureOperator
from undertext.measures.features.config import EncodingConfig


class DiffConfig(PairConfig, EncodingConfig):
    """How `sae diff` measures."""

    trained_on: Literal["base", "tuned"] = "base"
    """Checkpoint that the SAE was trained on; the other's activations are scaled to the mean norm of this
    one's."""
    effects: int = Field(default=4, ge=0)
    """Number of features, of those most associated with the task's values, whose effect on answers is
    measured."""
    controls: int = Field(default=4, ge=1)
    """Number of random features of equal norm and similar firing frequency that each feature's effect is
    compared with."""
    operators: tuple[FeatureOperator, ...] = ("ablate", "clamp")
    """Changes made to a feature: ablate takes the feature out, clamp holds the feature at its mean
    strength."""
    effect_problems: int = Field(default=100, ge=1)
    """Largest number of problems on which effects are measured."""
