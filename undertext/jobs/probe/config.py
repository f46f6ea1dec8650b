"""Settings of a probing job."""

from typing import Annotated

from pydantic import Field

from undertext.core.config import GradingConfig
from undertext.measures.decoding.config import DecodingConfig

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""Of a checkpoint or a task: it names files."""


class ProbeConfig(DecodingConfig, GradingConfig):
    """How `probe` measures."""

    splits: tuple[str, ...] | None = None
    """Splits that are reported beside dev; None takes every split but train, on which probes are fitted."""
    transport: tuple[tuple[Name, Name], ...] | None = None
    """Pairs of checkpoints, of which the first one's probes are read, unchanged, on the second; None takes
    every pair of checkpoints of one model, both ways."""
