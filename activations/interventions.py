"""What generation may change in a model's activations, and at which tokens."""

from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from activations.errors import UserError
from activations.hookpoint import HookPoint

Gate = Literal["last_prompt", "prompt", "generated", "all"]
"""The tokens at which an intervention acts: the prompt's last one, all of the prompt, every
generated token once it is read back in, or prompt and generated alike."""


@dataclass(frozen=True, eq=False)
class Intervention:
    """Adds `dose * vector` at one hook point, at the tokens that `at` names."""

    point: HookPoint
    vector: Float[Tensor, " d_model"]
    dose: float
    at: Gate = "last_prompt"

    def __post_init__(self) -> None:
        """Refuse an unknown gate and anything but a single vector (UserError)."""
        if self.at not in get_args(Gate):
            raise UserError(f"unknown gate {self.at!r}: valid are {', '.join(get_args(Gate))}")
        if self.vector.ndim != 1:
            raise UserError(f"expected a vector [d_model] at {self.point}, got {list(self.vector.shape)}")

    @property
    def on_prompt(self) -> bool:
        """Whether it acts at every token of the prompt."""
        return self.at in ("prompt", "all")

    @property
    def on_generated(self) -> bool:
        """Whether it acts at generated tokens."""
        return self.at in ("generated", "all")
