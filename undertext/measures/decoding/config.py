"""Settings of reading values off activations."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from undertext.activations.hookpoint import Site
from undertext.core.config import Config

Position = Literal["prompt_end"] | int
ProbeKind = Literal["logistic", "logistic_cv", "ridge", "ridge_cv", "low_rank", "means", "lda"]
Control = Literal["control", "shuffled", "random_init", "surface", "window"]
Across = Literal["checkpoint", "layer", "position", "length", "type"]
Extra = Literal["mdl", "leace"]


class DecodingConfig(Config):
    """How values are read off activations."""

    layers: tuple[int, ...] | None = None
    """Layers to read; None takes at most `max_layers` layers, evenly spaced, the last one included."""
    max_layers: int = Field(default=8, ge=1)
    """Number of layers that are read where `layers` is not given."""
    site: Site = "resid_post"
    """Hook site in each layer: resid_pre, resid_mid, resid_post, attn_out, mlp_out or z."""
    positions: tuple[Position, ...] = Field(default=("prompt_end", -2, -1, 0), min_length=1)
    """Positions at which values are read: `prompt_end` is the prompt's last token, where the problem's values
    and its answer are read; a number is an offset in tokens from the last token before a step says its
    value."""
    probes: tuple[ProbeKind, ...] = Field(default=("logistic",), min_length=1)
    """Kinds of probe."""
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(0.003, 0.03, 0.3), min_length=1)
    """Inverse penalties of logistic, low_rank and ridge probes; each layer's is chosen on dev, or by
    cross-validation in train (logistic_cv, ridge_cv)."""
    rank: int = Field(default=2, ge=1)
    """Number of directions that a low_rank probe reads through."""
    controls: tuple[Control, ...] = ("control", "shuffled", "random_init", "surface", "window")
    """Controls that the same kinds of probe are fitted to: control labels (`control`, from which selectivity
    is computed), shuffled labels, a random initialisation, the surface of the text, and what can be put
    together from the last tokens (`window`)."""
    draws: int = Field(default=3, ge=1)
    """Number of draws of control labels and of shuffled labels, whose mean is reported."""
    measures: tuple[Extra, ...] = ()
    """Further columns of the table, which take longer: `mdl` (the description length of the labels under an
    online code of logistic probes) and `leace` (the accuracy of a fresh probe once LEACE has erased the
    value)."""
    transfer: tuple[Across, ...] = ()
    """What probes are transferred across, in the table `transfer`: checkpoint (the pairs of `transport`, also
    after an alignment), layer, position, length (the problem's number of steps) and type (the problem's
    type)."""
    max_classes: int = Field(default=100, ge=2)
    """Largest number of distinct values that a classifier is fitted to. A number with more, or with few
    problems a value, is read in groups by size; a text with more is not read."""
    seed: int = Field(default=0, ge=0)
    """Random seed."""

    @model_validator(mode="after")
    def _mdl_has_its_probe(self) -> "DecodingConfig":
        if "mdl" in self.measures and "logistic" not in self.probes:
            raise ValueError("the measure mdl needs the probe kind logistic among `probes`")
        return self
