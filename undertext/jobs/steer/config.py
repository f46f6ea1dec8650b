"""What `steer` can be told."""

from undertext.measures.recovery.config import SearchConfig


class SteerConfig(SearchConfig):
    """How `steer` measures."""
