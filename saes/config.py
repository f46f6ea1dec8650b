"""What training an SAE or a crosscoder can be told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Architecture = Literal["topk", "batchtopk", "jumprelu", "matryoshka"]
Share = Annotated[float, Field(ge=0, le=1)]


class Training(BaseModel):
    """How long and how fast; frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    d_sae: int = Field(ge=1)
    """Latents."""
    k: float = Field(default=32, gt=0)
    """Active latents a row: exactly (`topk`), on average (`batchtopk`, `matryoshka`), or aimed at
    (`jumprelu`)."""
    steps: int = Field(default=10_000, ge=1)
    """Steps of training."""
    batch_size: int = Field(default=4096, ge=1)
    """Rows a step."""
    lr: float = Field(default=3e-4, gt=0)
    """Adam's rate once warmed up."""
    warm_up: Share = 0.02
    """Share of the steps in which the rate rises."""
    decay: Share = 0.2
    """Share of the steps, at the end, in which it falls to zero."""
    dead_after: int = Field(default=1000, ge=1)
    """Steps without firing after which a latent counts as dead and the loss tries to revive it."""
    held_out: int = Field(default=4096, ge=2)
    """Rows that are not trained on, and on which the result is measured."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Steps between checkpoints, where a folder is given for them."""
    seed: int = Field(default=0, ge=0)
    """Everything drawn at random hangs on it."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""

    @model_validator(mode="after")
    def _check(self) -> "Training":
        if self.k > self.d_sae:
            raise ValueError(f"k ({self.k:g}) is at most d_sae ({self.d_sae})")
        if self.warm_up + self.decay > 1:
            raise ValueError(f"warm_up ({self.warm_up}) and decay ({self.decay}) overlap: they add to over 1")
        return self


class SaeConfig(Training):
    """One SAE."""

    architecture: Architecture = "batchtopk"
    """What decides which latents are active."""
    normalize: bool = True
    """Whether inputs are scaled to a mean norm of sqrt(d_in) while training; the scale is folded in at the
    end."""
    matryoshka_widths: tuple[int, ...] = ()
    """Widths of the nested dictionaries, ascending; `d_sae` is added as the last (`matryoshka` alone)."""
    l0_coefficient: float = Field(default=1.0, gt=0)
    """Weight of the sparsity loss (`jumprelu` alone)."""

    @model_validator(mode="after")
    def _check_architecture(self) -> "SaeConfig":
        widths = self.matryoshka_widths
        if self.architecture == "topk" and self.k != int(self.k):
            raise ValueError(f"k is a whole number for topk, got {self.k}")
        if (self.architecture == "matryoshka") != bool(widths):
            raise ValueError("matryoshka_widths belong to matryoshka, and it needs them")
        if any(a >= b for a, b in zip((0, *widths), (*widths, self.d_sae), strict=True)):
            raise ValueError(
                f"matryoshka_widths ascend from 1 and stay below d_sae ({self.d_sae}): got {widths}"
            )
        return self
