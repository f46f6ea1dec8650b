"""Settings of `steer`."""

from typing import Literal

from undertext.core.config import AskedConfig
from undertext.measures.recovery.config import SearchConfig


class SteerConfig(AskedConfig, SearchConfig):
    """How `steer` measures."""

    export: Literal["gguf", "safetensors"] | None = None
    """Format in which the best vector is written as well: gguf writes OUT/vector.gguf, a control vector of
    llama.cpp at the chosen layer and dose; safetensors writes OUT/vector.safetensors, the vector at all its
    layers. None writes no vector."""
