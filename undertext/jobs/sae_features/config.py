"""What the jobs on features can be told."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from undertext.activations.hookpoint import Site
from undertext.core.config import Config
from undertext.saes.config import SaeConfig

WORK_ONLY = {"device", "threads", "batch_size", "checkpoint_every"}
"""Settings that change how the work is done, and no figure: a job goes on under others."""
Word = Annotated[str, Field(min_length=1)]
Kind = Literal["sae", "difference", "crosscoder"]
FeatureOperator = Literal["ablate", "clamp"]


class TrainConfig(SaeConfig):
    """How `sae train` captures and trains."""

    kind: Kind = "sae"
    """An SAE of one checkpoint; of what tuning added to the base; or a crosscoder of both."""
    d_sae: int = Field(default=4096, ge=1)
    """Latents."""
    layers: tuple[int, ...] | None = None
    """Layers to read: one, or several for a crosscoder. None takes the middle one."""
    site: Site = "resid_post"
    """Where in a layer."""
    splits: tuple[str, ...] = Field(default=("train",), min_length=1)
    """Splits of the task whose texts, prompt and trace, are trained on."""
    loss_split: str = "dev"
    """The split on whose texts the recovered loss is measured. Of a file of texts, its last ones serve."""
    loss_texts: int = Field(default=128, ge=1)
    """How many texts the recovered loss is measured on, at most."""
    skip: int = Field(default=0, ge=0)
    """Tokens left out at the beginning of every text: the first one's activation is huge in many models."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for torch; None leaves torch's setting. On a shared machine, fewer is often faster."""

    @model_validator(mode="after")
    def _check_kind(self) -> "TrainConfig":
        if self.kind == "crosscoder" and self.architecture != "batchtopk":
            raise ValueError(f"a crosscoder is batchtopk, got {self.architecture}")
        if self.kind != "crosscoder" and self.layers is not None and len(self.layers) != 1:
            raise ValueError(f"one layer for an SAE, got {list(self.layers)}")
        return self


class ReadConfig(Config):
    """What `sae features` and `sae diff` share."""

    layer: int | None = Field(default=None, ge=0)
    """Where the SAE reads, if it does not say so itself."""
    site: Site = "resid_post"
    """Where in that layer."""
    choose: str = "dev"
    """The split on which features are chosen: which tells what, and whose pages are made."""
    split: str = "test"
    """The split on which they are reported."""
    skip: int = Field(default=0, ge=0)
    """Tokens left out at the beginning of every text."""
    bins: int = Field(default=4, ge=2)
    """Bins of a feature's strength for mutual information; silence is one."""
    max_classes: int = Field(default=20, ge=2)
    """A value with more distinct values than this is not read."""
    pages: int = Field(default=12, ge=0)
    """Features that have a page: those that tell the most on `choose`."""
    seed: int = Field(default=0, ge=0)
    """Everything drawn at random hangs on it."""
    device: str = "cpu"
    """Where checkpoints and SAE are loaded: cpu, cuda, cuda:1, mps."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for torch; None leaves torch's setting. On a shared machine, fewer is often faster."""


class FeaturesConfig(ReadConfig):
    """How `sae features` measures."""

    words: tuple[Word, ...] | None = None
    """Words of reasoning, for ReasonScore and token injection. None takes those of English that the tokenizer
    has (wait, therefore, ...); a task written in other words needs its own."""
    inject: int = Field(default=3, ge=1)
    """Words put into each text without reasoning."""
    plain_texts: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    """Texts without reasoning; None takes the task's prompts."""


class DiffConfig(ReadConfig):
    """How `sae diff` measures."""

    trained_on: Literal["base", "tuned"] = "base"
    """Whose features the SAE has: the other's activations are scaled to the mean norm of this one's."""
    effects: int = Field(default=4, ge=0)
    """Features, of those that tell the most, whose effect on answers is measured in both checkpoints."""
    controls: int = Field(default=4, ge=1)
    """Random features of equal norm and like frequency beside each."""
    operators: tuple[FeatureOperator, ...] = ("ablate", "clamp")
    """What is done to a feature: taken out, or held at its mean strength."""
    effect_problems: int = Field(default=100, ge=1)
    """Problems of `split` that are answered, at most."""
    batch_size: int = Field(default=512, ge=1)
    """Rows a batch of generation."""
