"""Settings of `read_trace`."""

from pydantic import Field

from undertext.core.config import AskedConfig, PartsConfig
from undertext.core.terms import READERS, ReaderKind


class TraceConfig(AskedConfig, PartsConfig):
    """How an answer is read along traces."""

    split: str = "test"
    """Split whose traces are read."""
    layers: tuple[int, ...] | None = None
    """Layers to read; None takes at most `max_layers` layers, evenly spaced, the last one included."""
    max_layers: int = Field(default=8, ge=1)
    """Number of layers that are read where `layers` is not given."""
    readers: tuple[ReaderKind, ...] = Field(default=READERS, min_length=1)
    """Readers of the answer: a probe, the logit lens, a tuned lens."""
    problems: int = Field(default=200, ge=1)
    """Largest number of problems whose traces are read."""
