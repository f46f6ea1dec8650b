"""What `routes` can be told."""

from pydantic import Field

from undertext.measures.recovery.config import SearchConfig


class RoutesConfig(SearchConfig):
    """How `routes` measures."""

    budget: int = Field(default=8, ge=1)
    """Rows a problem that a route may write, each of the task's `max_new_tokens`."""
    shots: int = Field(default=2, ge=1)
    """Solved examples in a prompt."""
    fit_steps: int = Field(default=60, ge=1)
    """Updates of the fitted vector at each layer."""
    rlvr_steps: int = Field(default=60, ge=0)
    """Updates of what is trained by reward: a vector a layer, and the weights of a copy, which need 16 bytes
    each. 0 leaves both out."""
    rlvr_prompts: int = Field(default=32, ge=1)
    """Problems an update, `budget` samples of each, from all of train: few problems would be memorised."""
    rlvr_lr: float = Field(default=3e-4, gt=0)
    """Adam's step of the copy's weights, and"""
    vector_lr: float = Field(default=0.05, gt=0)
    """of the vectors, a share of the mean residual norm."""
