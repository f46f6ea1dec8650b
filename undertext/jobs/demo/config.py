"""Settings of the demo."""

from pathlib import Path

from pydantic import Field

from undertext.core.config import Config


class DemoConfig(Config):
    """Settings of the demo: which organisms, and how they are compared."""

    zoo: Path | None = None
    """Folder that holds the organisms; None takes the shipped zoo."""
    seed: int = Field(default=0, ge=0)
    """Random seed of the comparisons."""
    overwrite: bool = False
    """Whether reports of other settings in the output folder may be replaced."""
    jobs: int = Field(default=2, ge=1)
    """Number of pairs compared side by side, with one CPU thread each."""
