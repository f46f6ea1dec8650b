"""What another engine for generation under intervention must offer, and the reference it is held against.

An engine that serves many users at once (vLLM, SGLang) writes faster than `generate` does, and has hooks of
its own. Before its figures can be trusted, `engine_check.check_engine` holds it against `ReferenceEngine`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import Intervention


class Refused(UserError):
    """An engine does not carry this intervention out, and says so instead of writing without it."""


class Written(NamedTuple):
    """What an engine wrote, by row."""

    tokens: list[list[int]]
    """Without the prompt's."""
    touched: list[int]
    """At how many tokens, of the prompt and written, interventions changed the row."""


@runtime_checkable
class GenerationEngine(Protocol):
    """Reads residuals and writes under interventions, greedily and in float32 where it is checked."""

    def read(
        self, prompts: Sequence[Sequence[int]], points: Sequence[HookPoint]
    ) -> list[Float[Tensor, "point token d_model"]]:
        """The activations at every token of each prompt."""
        ...

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        interventions: Sequence[Intervention | None],
    ) -> Written:
        """Write after each prompt, each row under an intervention of its own or none.

        Raises Refused for one that it does not carry out.
        """
        ...


class ReferenceEngine:
    """Hugging Face's model under this package's hooks."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def read(
        self, prompts: Sequence[Sequence[int]], points: Sequence[HookPoint]
    ) -> list[Float[Tensor, "point token d_model"]]:
        """As `capture` reads them."""
        found = capture(self.checkpoint, [list(ids) for ids in prompts], points, "all")
        return [found.activations[:, found.rows == row] for row in range(len(prompts))]

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        interventions: Sequence[Intervention | None],
    ) -> Written:
        """As `generate` writes."""
        made = generate(
            self.checkpoint,
            [list(ids) for ids in prompts],
            max_new_tokens=max_new_tokens,
            interventions=interventions,
        )
        return Written(made.tokens, made.touched)
