"""The ground of the toolkit: checkpoints, hook points, capture, generation.

The names below load what they need (torch, transformers, transformer-lens) when they are first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activations.capture import capture
    from activations.captured import Captured
    from activations.checkpoint import Checkpoint
    from activations.errors import UserError
    from activations.generation import Generations, generate
    from activations.hookpoint import SITES, HookPoint, Site
    from activations.hooks import HookFunction, hooked
    from activations.interventions import Gate, Intervention, Threshold
    from activations.operators import Operator
    from activations.pair import Pair, check_pair, load_pair
    from activations.positions import Place, Positions
    from activations.recording import Record
    from activations.spans import TextSpan, TokenSpan

_HOMES = {
    "Captured": "captured",
    "Checkpoint": "checkpoint",
    "Gate": "interventions",
    "Generations": "generation",
    "HookFunction": "hooks",
    "HookPoint": "hookpoint",
    "Intervention": "interventions",
    "Pair": "pair",
    "Operator": "operators",
    "Place": "positions",
    "Positions": "positions",
    "Record": "recording",
    "SITES": "hookpoint",
    "Site": "hookpoint",
    "TextSpan": "spans",
    "Threshold": "interventions",
    "TokenSpan": "spans",
    "UserError": "errors",
    "capture": "capture",
    "check_pair": "pair",
    "generate": "generation",
    "hooked": "hooks",
    "load_pair": "pair",
}

__all__ = [
    "SITES",
    "Captured",
    "Checkpoint",
    "Gate",
    "Generations",
    "HookFunction",
    "HookPoint",
    "Intervention",
    "Operator",
    "Pair",
    "Place",
    "Positions",
    "Record",
    "Site",
    "TextSpan",
    "Threshold",
    "TokenSpan",
    "UserError",
    "capture",
    "check_pair",
    "generate",
    "hooked",
    "load_pair",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'activations' has no attribute {name!r}")
    value = getattr(import_module(f"activations.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps `activations.capture` the function: importing its submodule would put the module there."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
