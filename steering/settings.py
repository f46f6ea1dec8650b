"""What a sweep tries: which vector acts, at which layers and tokens, in which way and how strongly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.hookpoint import GateAt, HookPoint
from undertext.activations.interventions import Intervention, Threshold
from undertext.activations.operators import Operator
from undertext.steering.steering_vector import SteeringVector
from undertext.steering.vectors import unit

IN_NORMS: tuple[Operator, ...] = ("add", "clamp")
"""Operators whose dose is a length, in units of the vector's norm at the layer; others take a share."""


@dataclass(frozen=True)
class Gate:
    """The tokens at which a setting acts: as in `Intervention`, whose fields these are but for two."""

    at: GateAt | tuple[int, ...] = "last_prompt"
    first: int | None = None
    decay: float = 1.0
    tokens: frozenset[int] | None = None
    pattern: str | None = None
    threshold: str | None = None
    """The name of one of the thresholds that the sweep was given."""

    def __str__(self) -> str:
        """The tokens at which a setting acts, as one word or a few."""
        at = self.at
        words = [at if isinstance(at, str) else f"prompt token {', '.join(map(str, at))}"]
        if self.first is not None:
            words.append(f"first {self.first}")
        if self.decay != 1:
            words.append(f"decay {self.decay:g}")
        if self.tokens is not None:
            words.append(f"token {' or '.join(map(str, sorted(self.tokens)))}")
        if self.pattern is not None:
            words.append(f"after {self.pattern!r}")
        if self.threshold is not None:
            words.append(self.threshold)
        return ", ".join(words)


@dataclass(frozen=True)
class Setting:
    """One way to steer."""

    vector: str
    """A vector's name."""
    layers: tuple[int, ...]
    """Where the vector acts; at several layers at once, each with its own direction and norm."""
    dose: float
    """For `add` and `clamp` in units of the vector's norms, otherwise the share of the change."""
    gate: Gate = Gate()
    """The tokens at which it acts."""
    operator: Operator = "add"


class Readout(NamedTuple):
    """A threshold at every layer: open where `direction . activation + bias > 0`."""

    directions: Float[Tensor, "layer d_model"]
    biases: Float[Tensor, " layer"]


def grid(
    vectors: Sequence[str],
    layers: Sequence[int | tuple[int, ...]],
    doses: Sequence[float],
    gates: Sequence[Gate] = (Gate(),),
    operators: Sequence[Operator] = ("add",),
) -> list[Setting]:
    """Every combination, vectors outermost, then layers, operators, gates, doses.

    A tuple among `layers` is several layers at once.
    """
    return [
        Setting(vector, layer if isinstance(layer, tuple) else (layer,), dose, gate, operator)
        for vector, layer, operator, gate, dose in product(vectors, layers, operators, gates, doses)
    ]


class Interventions:
    """Makes settings into interventions; those that are equal, and the tensors of all, are shared.

    Rows can then share what they read of a prompt.
    """

    def __init__(
        self, vectors: Sequence[SteeringVector], thresholds: Mapping[str, Readout] | None = None
    ) -> None:
        """UserError when two vectors bear one name."""
        self._vectors = {each.name: each for each in vectors}
        if len(self._vectors) < len(vectors):
            names = [each.name for each in vectors]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise UserError(f"vectors need names of their own; there are several {', '.join(twice)}")
        self._thresholds = dict(thresholds or {})
        self._directions: dict[tuple[str, int, bool], Tensor] = {}
        self._made: dict[Setting, tuple[Intervention, ...]] = {}

    def of(self, setting: Setting) -> tuple[Intervention, ...]:
        """What acts under a setting, one intervention a layer.

        UserError for a vector, layer or threshold that is not there, and where the operator lacks a centre.
        """
        if setting not in self._made:
            vector = self._vectors.get(setting.vector)
            if vector is None:
                raise UserError(f"no vector {setting.vector!r}; there are: {', '.join(self._vectors)}")
            if not setting.layers or len(set(setting.layers)) < len(setting.layers):
                raise UserError(f"expected one or more different layers, got {setting.layers}")
            self._made[setting] = tuple(self._at(setting, vector, layer) for layer in setting.layers)
        return self._made[setting]

    def _at(self, setting: Setting, vector: SteeringVector, layer: int) -> Intervention:
        vector.check_layer(layer)
        gate = setting.gate
        return Intervention(
            HookPoint(layer, vector.site),
            self._direction(vector, layer, at_length_1=setting.operator != "replace"),
            setting.dose * (float(vector.norms[layer]) if setting.operator in IN_NORMS else 1.0),
            gate.at,
            setting.operator,
            centre=self._centre(setting, vector, layer),
            first=gate.first,
            decay=gate.decay,
            tokens=gate.tokens,
            pattern=gate.pattern,
            threshold=self._threshold(gate.threshold, layer),
        )

    def _direction(self, vector: SteeringVector, layer: int, *, at_length_1: bool) -> Tensor:
        key = (vector.name, layer, at_length_1)
        if key not in self._directions:
            row = vector.directions[layer : layer + 1].detach().float()
            self._directions[key] = (unit(row) if at_length_1 else row)[0]
        return self._directions[key]

    def _centre(self, setting: Setting, vector: SteeringVector, layer: int) -> Tensor | None:
        if setting.operator != "affine":
            return None
        if vector.centre is None:
            raise UserError(f"affine needs a centre, which vector {vector.name!r} does not have")
        return vector.centre[layer]

    def _threshold(self, name: str | None, layer: int) -> Threshold | None:
        if name is None:
            return None
        if name not in self._thresholds:
            names = ", ".join(self._thresholds) or "none"
            raise UserError(f"no threshold {name!r}; there are: {names}")
        readout = self._thresholds[name]
        return Threshold(readout.directions[layer], float(readout.biases[layer]))
