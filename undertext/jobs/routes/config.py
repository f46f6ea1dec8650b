"""Settings of `routes`."""

from pydantic import Field

from undertext.core.config import AskedConfig
from undertext.measures.recovery.config import SearchConfig


class RoutesConfig(AskedConfig, SearchConfig):
    """How `routes` measures."""

    budget: int = Field(default=8, ge=1)
    """Largest number of outputs that a route may write for each problem, each of at most the task's
    max_new_tokens."""
    shots: int = Field(default=2, ge=1)
    """Number of solved examples in a prompt."""
    fit_steps: int = Field(default=60, ge=1)
    """Number of updates of the fitted vector at each layer."""
    rlvr_steps: int = Field(default=60, ge=0)
    """Number of updates of a vector a layer, and of all weights of a copy, that are trained by the grader's
    reward; 0 leaves both out. Training a copy needs 16 bytes of memory a weight."""
    rlvr_prompts: int = Field(default=32, ge=1)
    """Number of problems of train in an update by reward; `budget` answers are sampled of each problem."""
    rlvr_lr: float = Field(default=3e-4, gt=0)
    """Step size of Adam for the weights of the copy."""
    vector_lr: float = Field(default=0.05, gt=0)
    """Step size of Adam for the vectors trained by reward, as a share of the mean residual norm."""
