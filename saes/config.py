"""Settings of training an SAE or a crosscoder."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Architecture = Literal["topk", "batchtopk", "jumprelu", "matryoshka"]
Share = Annotated[float, Field(ge=0, le=1)]


class Training(BaseModel):
    """Size, schedule and data of one training run; frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    d_sae: int = Field(ge=1)
    """Number of latents."""
    k: float = Field(default=32, gt=0)
    """Number of active latents for each row: exact with topk, the mean with batchtopk and matryoshka, the
    target with jumprelu."""
    steps: int = Field(default=10_000, ge=1)
    """Number of training steps."""
    batch_size: int = Field(default=4096, ge=1)
    """Number of rows of activations in one training step."""
    lr: float = Field(default=3e-4, gt=0)
    """Learning rate of Adam after the warm-up."""
    warm_up: Share = 0.02
    """Share of the steps in which the learning rate rises, at the beginning."""
    decay: Share = 0.2
    """Share of the steps in which the learning rate falls to zero, at the end."""
    dead_after: int = Field(default=1000, ge=1)
    """Number of steps without firing after which a latent counts as dead and gets an auxiliary loss."""
    held_out: int = Field(default=4096, ge=2)
    """Number of rows held out from training, on which the SAE is measured."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Number of steps between checkpoints of the training, which an interrupted training goes on from."""
    seed: int = Field(default=0, ge=0)
    """Random seed."""
    device: str = "cpu"
    """Device of training: cpu, cuda or cuda:1."""

    @model_validator(mode="after")
    def _check(self) -> "Training":
        if self.k > self.d_sae:
            raise ValueError(f"k ({self.k:g}) is at most d_sae ({self.d_sae})")
        if self.warm_up + self.decay > 1:
            raise ValueError(f"warm_up ({self.warm_up}) and decay ({self.decay}) overlap: they add to over 1")
        return self


class SaeConfig(Training):
    """Settings of training one SAE."""

    architecture: Architecture = "batchtopk"
    """Rule by which latents are active: topk, batchtopk, jumprelu or matryoshka."""
    normalize: bool = True
    """Whether inputs are scaled to a mean norm of sqrt(d_in) in training; the scale is folded into the
    weights."""
    matryoshka_widths: tuple[int, ...] = ()
    """Ascending widths of the nested dictionaries below d_sae, for matryoshka alone."""
    l0_coefficient: float = Field(default=1.0, gt=0)
    """Weight of the sparsity loss, for jumprelu alone."""

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
