"""Typed values from the plain values that a result holds, the same for a loaded result and a fresh one."""

from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

from pydantic import TypeAdapter

_ESTIMATE = {"value": nan, "low": -inf, "high": inf}
"""What null stands for in an `Estimate`: a number that was not finite, which JSON cannot hold."""


def typed(kind: Any, plain: Any) -> Any:
    """The value of the type `kind` (a dataclass, a mapping of them, ...) that is `plain` in result.json."""
    return TypeAdapter(kind).validate_python(_restored(plain))


def _restored(plain: Any) -> Any:
    if isinstance(plain, Mapping):
        values = {key: _restored(value) for key, value in plain.items()}
        if _ESTIMATE.keys() < values.keys():
            values |= {key: _ESTIMATE[key] for key in _ESTIMATE if values[key] is None}
        return values
    if isinstance(plain, Sequence) and not isinstance(plain, str):
        return [_restored(value) for value in plain]
    return plain
