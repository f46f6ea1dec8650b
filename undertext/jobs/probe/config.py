"""What a probing job can be told."""

from typing import Annotated, Literal

from pydantic import Field

from undertext.activations.hookpoint import Site
from undertext.core.config import Config

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""Of a checkpoint or a task: it names files."""
Position = Literal["prompt_end"] | int
ProbeKind = Literal["logistic", "logistic_cv", "ridge", "ridge_cv", "low_rank", "means", "lda"]
Control = Literal["control", "shuffled", "random_init", "surface"]
Across = Literal["checkpoint", "layer", "position", "length", "type"]


class ProbeConfig(Config):
    """How `probe` measures."""

    layers: tuple[int, ...] | None = None
    """Layers to read; None takes at most `max_layers`, evenly spaced, the last among them."""
    max_layers: int = Field(default=8, ge=1)
    """How many layers are taken where `layers` is not given."""
    site: Site = "resid_post"
    """Where in a layer."""
    positions: tuple[Position, ...] = Field(default=("prompt_end", -2, -1, 0), min_length=1)
    """`prompt_end`: the prompt's last token, for the problem's values and its answer. A number: the values of
    the steps, so many tokens after (before, if negative) the last one before each is said."""
    splits: tuple[str, ...] | None = None
    """Splits to report beside dev; None takes all but train, which probes are fitted on."""
    probes: tuple[ProbeKind, ...] = Field(default=("logistic",), min_length=1)
    """Kinds of probe."""
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(0.003, 0.03, 0.3), min_length=1)
    """Inverse penalties of logistic, low-rank and ridge probes; each layer's is chosen on dev, or by
    cross-validation in train (logistic_cv, ridge_cv)."""
    rank: int = Field(default=2, ge=1)
    """How many directions a low_rank probe reads through."""
    controls: tuple[Control, ...] = ("control", "shuffled", "random_init", "surface")
    """What the same probes are fitted to for comparison. Selectivity needs `control`."""
    draws: int = Field(default=3, ge=1)
    """How often control labels and shuffled labels are drawn; the mean is reported."""
    transport: tuple[tuple[Name, Name], ...] | None = None
    """Pairs of checkpoints: the first one's probes are read, unchanged, on the second. None takes every two
    that are checkpoints of one model, both ways."""
    transfer: tuple[Across, ...] = ()
    """What else probes are carried across, each a matrix in a second table: checkpoint (the pairs of
    `transport`, aligned too), layer, position, length (steps of the problem), type (of the problem)."""
    max_classes: int = Field(default=20, ge=2)
    """A value with more distinct values than this is not read."""
    seed: int = Field(default=0, ge=0)
    """Everything drawn at random hangs on it."""
    device: str = "cpu"
    """Where the checkpoints are loaded: cpu, cuda, cuda:1, mps."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for torch; None leaves torch's setting. On a shared machine, fewer is often faster."""


WORK_ONLY = {"device", "threads"}
"""Settings that change how the work is done, and no figure: a job goes on under others."""
