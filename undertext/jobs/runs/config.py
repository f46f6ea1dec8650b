"""Settings of joining runs."""

from undertext.core.config import Config


class RunsConfig(Config):
    """How runs are joined."""

    overwrite: bool = False
    """Whether a report of another job in the output folder may be replaced."""
