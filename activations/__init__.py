"""The ground of the toolkit: checkpoints, hook points, capture, generation, branch scoring.

The names below load what they need (torch, transformers, transformer-lens) when they are first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activations.branch_text import branches_at
    from activations.branch_tree import Branch
    from activations.branches import BranchScores, score_branches
    from activations.capture import Captured, Positions, capture
    from activations.checkpoint import Checkpoint
    from activations.errors import UserError
    from activations.generation import Generations, generate
    from activations.hookpoint import SITES, HookPoint, Site
    from activations.hooks import HookFunction, hooked
    from activations.interventions import Gate, Intervention
    from activations.pair import Pair, check_pair, load_pair

_HOMES = {
    "Branch": "branch_tree",
    "BranchScores": "branches",
    "Captured": "capture",
    "Checkpoint": "checkpoint",
    "Gate": "interventions",
    "Generations": "generation",
    "HookFunction": "hooks",
    "HookPoint": "hookpoint",
    "Intervention": "interventions",
    "Pair": "pair",
    "Positions": "capture",
    "SITES": "hookpoint",
    "Site": "hookpoint",
    "UserError": "errors",
    "branches_at": "branch_text",
    "capture": "capture",
    "check_pair": "pair",
    "generate": "generation",
    "hooked": "hooks",
    "load_pair": "pair",
    "score_branches": "branches",
}

__all__ = [
    "SITES",
    "Branch",
    "BranchScores",
    "Captured",
    "Checkpoint",
    "Gate",
    "Generations",
    "HookFunction",
    "HookPoint",
    "Intervention",
    "Pair",
    "Positions",
    "Site",
    "UserError",
    "branches_at",
    "capture",
    "check_pair",
    "generate",
    "hooked",
    "load_pair",
    "score_branches",
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
