"""The settings of `sae train`."""

from typing import Literal

from pydantic import Field, model_validator

from undertext.activations.hookpoint import Site
from undertext.core.config import AskedConfig, RunConfig
from undertext.saes.config import SaeConfig


class TrainConfig(SaeConfig, AskedConfig, RunConfig):
    """How `sae train` captures and trains."""

    kind: Literal["sae", "difference", "crosscoder"] = "sae"
    """Kind of dictionary: an SAE of one checkpoint, an SAE of what tuning added to the base, or a crosscoder
    of both."""
    d_sae: int = Field(default=4096, ge=1)
    """Number of latents."""
    layers: tuple[int, ...] | None = None
    """Layers to read: one for an SAE, one or several for a crosscoder; None takes the middle layer."""
    site: Site = "resid_post"
    """Site within the layer to read."""
    splits: tuple[str, ...] = Field(default=("train",), min_length=1)
    """Splits of the task whose prompts and traces are trained on."""
    loss_split: str = "dev"
    """Split on whose texts the recovered loss is measured; of a file of texts its last lines serve."""
    loss_texts: int = Field(default=128, ge=1)
    """Largest number of texts on which the recovered loss is measured."""
    skip: int = Field(default=0, ge=0)
    """Number of tokens left out at the beginning of every text; the first token's activation is very large in
    many models."""

    @model_validator(mode="after")
    def _check_kind(self) -> "TrainConfig":
        if self.kind == "crosscoder" and self.architecture != "batchtopk":
            raise ValueError(f"a crosscoder is batchtopk, got {self.architecture}")
        if self.kind != "crosscoder" and self.layers is not None and len(self.layers) != 1:
            raise ValueError(f"one layer for an SAE, got {list(self.layers)}")
        return self

    def training(self) -> SaeConfig:
        """The part that the training itself takes."""
        return SaeConfig(**{name: getattr(self, name) for name in SaeConfig.model_fields})
