"""What may be changed in a model's activations while it reads and writes, and at which tokens."""

from dataclasses import dataclass
from typing import get_args

from jaxtyping import Float
from torch import Tensor

from undertext.activations.checks import check_number, check_vector, is_whole
from undertext.activations.errors import UserError, shown
from undertext.activations.hookpoint import GateAt, HookPoint
from undertext.activations.operators import ON_SUBSPACES, OPERATORS, WITH_CENTRE, Operator
from undertext.activations.patterns import pattern_groups


def check_at(at: object) -> None:
    """UserError unless this is a gate's name, or a tuple of indices with at least one in it."""
    if isinstance(at, str) and at in get_args(GateAt):
        return
    if isinstance(at, tuple) and at and all(map(is_whole, at)):
        return
    raise UserError(
        f"unknown gate {shown(repr(at), 60)}: valid are {', '.join(get_args(GateAt))} or prompt indices, a "
        "tuple such as (0, -1)"
    )


@dataclass(frozen=True, eq=False)
class Threshold:
    """Holds where `direction . activation + bias > 0`, on the activation as it comes to the hook point."""

    direction: Float[Tensor, " d_model"]
    bias: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no direction and no number (UserError)."""
        check_vector("a threshold's direction", self.direction)
        if self.direction.ndim != 1:
            raise UserError(f"a threshold's direction is [d_model], got {list(self.direction.shape)}")
        check_number("a threshold's bias", self.bias)


@dataclass(frozen=True, eq=False)
class Intervention:
    """Changes the activation at one hook point, at the tokens that its gates let through.

    `at` says where it may act; `first`, `tokens`, `pattern` and `threshold` narrow that down, and all
    that are given must hold.
    """

    point: HookPoint
    vector: Float[Tensor, "*k d_model"]
    """The direction. `ablate` and `affine` also take several, `[k, d_model]`, and act on their span."""
    dose: float
    """What it means is the operator's: see `activations.operators`."""
    at: GateAt | tuple[int, ...] = "last_prompt"
    """A gate, or indices of tokens of the prompt (negative ones count from its end)."""
    operator: Operator = "add"
    centre: Float[Tensor, " d_model"] | None = None
    """For `affine` alone: the activation whose part in the span of `vector` is put in."""
    first: int | None = None
    """Of the generated tokens, only the first so many."""
    decay: float = 1.0
    """At the t-th generated token, from 0, the dose is `dose * decay ** t`."""
    tokens: frozenset[int] | None = None
    """Only where the token read is one of these."""
    pattern: str | None = None
    """Only where the text so far, prompt included, ends in a match of this regular expression."""
    threshold: Threshold | None = None

    def __post_init__(self) -> None:
        """Refuse what is not of the forms above (UserError)."""
        if not isinstance(self.point, HookPoint):
            raise UserError(
                f"an intervention's point must be a HookPoint, got {shown(repr(self.point), 60)}: a name is "
                "read with HookPoint.parse"
            )
        check_at(self.at)
        if self.operator not in OPERATORS:
            raise UserError(f"unknown operator {self.operator!r}: valid are {', '.join(OPERATORS)}")
        check_vector(f"the vector at {self.point}", self.vector)
        check_number(f"the dose at {self.point}", self.dose)
        check_number(f"decay at {self.point}", self.decay)
        if self.vector.ndim != 1 and not (self.operator in ON_SUBSPACES and self.vector.ndim == 2):
            wanted = "[d_model] or [k, d_model]" if self.operator in ON_SUBSPACES else "[d_model]"
            raise UserError(
                f"{self.operator} at {self.point} takes a vector {wanted}, got {list(self.vector.shape)}"
            )
        if (self.centre is not None) != (self.operator in WITH_CENTRE):
            which = "needs" if self.operator in WITH_CENTRE else "takes no"
            raise UserError(f"{self.operator} at {self.point} {which} centre")
        if self.centre is not None:
            check_vector(f"the centre at {self.point}", self.centre)
        if self.threshold is not None and not isinstance(self.threshold, Threshold):
            raise UserError(f"threshold must be a Threshold, got {shown(repr(self.threshold), 60)}")
        if self.first is not None and not (is_whole(self.first) and self.first >= 0):
            raise UserError(f"first must not be negative, a whole number, got {shown(repr(self.first), 60)}")
        if self.tokens is not None and not (
            isinstance(self.tokens, frozenset) and self.tokens and all(map(is_whole, self.tokens))
        ):
            raise UserError(
                f"tokens must be a frozenset of ids, not empty, got {shown(repr(self.tokens), 60)}: ids "
                "of a text come from Checkpoint.encode"
            )
        if self.pattern is not None and (not isinstance(self.pattern, str) or not self.pattern):
            raise UserError(f"pattern must be a text, not empty, got {shown(repr(self.pattern), 60)}")
        if self.pattern is not None:
            try:
                pattern_groups(self.pattern)
            except ValueError as error:
                raise UserError(f"pattern: {error}") from None

    @property
    def on_prompt(self) -> bool:
        """Whether it may act at every token of the prompt."""
        return self.at in ("prompt", "all")

    @property
    def on_generated(self) -> bool:
        """Whether it may act at generated tokens."""
        return self.at in ("generated", "all")

    def prompt_indices(self, length: int) -> range | tuple[int, ...]:
        """At which tokens of a prompt of this length it may act; UserError when there is no such token."""
        if isinstance(self.at, tuple):
            for index in self.at:
                if not -length <= index < length:
                    raise UserError(f"the prompt has {length} tokens: there is no position {index} in it")
            return tuple(sorted({index % length for index in self.at}))
        if self.on_prompt:
            return range(length)
        return range(length - 1, length) if self.at == "last_prompt" else range(0)

    def expected(self, prompt: int, written: int) -> int:
        """How many tokens it may act at, of a prompt and of generated tokens that are read back in.

        From what was asked for alone: nothing here goes through what the hooks go by, which is held to it.
        """
        generated = written if self.first is None else min(written, self.first)
        if isinstance(self.at, tuple):
            return sum(any(index in (place, place - prompt) for index in self.at) for place in range(prompt))
        return {"last_prompt": 1, "prompt": prompt, "generated": generated, "all": prompt + generated}[
            self.at
        ]
