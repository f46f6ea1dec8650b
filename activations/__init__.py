"""The ground of the toolkit: checkpoints, hook points, capture, generation, branch scoring, the store.

The names below load what they need (torch, transformers, transformer-lens) when they are first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undertext.activations.activation_recording import RecordSpec
    from undertext.activations.branch_text import branches_at
    from undertext.activations.branch_tree import Branch
    from undertext.activations.branches import BranchScores, score_branches
    from undertext.activations.capture import Captured, capture
    from undertext.activations.checkpoint import Checkpoint
    from undertext.activations.errors import UserError
    from undertext.activations.forward_texts import ForwardTexts, forward_texts
    from undertext.activations.generation import Generations, generate
    from undertext.activations.hookpoint import SITES, GateAt, HookPoint, Site
    from undertext.activations.hooks import HookFunction, hooked
    from undertext.activations.interventions import Intervention, Threshold
    from undertext.activations.next_tokens import NextTokens, next_tokens
    from undertext.activations.operators import Operator
    from undertext.activations.pair import Pair, check_pair, load_pair
    from undertext.activations.positions import Positions, TokenSelector
    from undertext.activations.spans import TextSpan, TokenSpan
    from undertext.activations.store import (
        Batch,
        PairBatch,
        Store,
        StorePair,
        StoreWriter,
        capture_pair_to_store,
        capture_to_store,
        open_pair,
        tokens_fingerprint,
    )
    from undertext.activations.unembed import unembed
    from undertext.activations.weights import Room

_HOMES = {
    "Batch": "store",
    "Branch": "branch_tree",
    "BranchScores": "branches",
    "Captured": "capture",
    "Checkpoint": "checkpoint",
    "GateAt": "hookpoint",
    "Generations": "generation",
    "HookFunction": "hooks",
    "HookPoint": "hookpoint",
    "Intervention": "interventions",
    "NextTokens": "next_tokens",
    "Operator": "operators",
    "Pair": "pair",
    "PairBatch": "store",
    "TokenSelector": "positions",
    "Positions": "positions",
    "ForwardTexts": "forward_texts",
    "RecordSpec": "activation_recording",
    "Room": "weights",
    "SITES": "hookpoint",
    "Site": "hookpoint",
    "Store": "store",
    "StorePair": "store",
    "StoreWriter": "store",
    "TextSpan": "spans",
    "Threshold": "interventions",
    "TokenSpan": "spans",
    "UserError": "errors",
    "branches_at": "branch_text",
    "capture": "capture",
    "capture_pair_to_store": "store",
    "capture_to_store": "store",
    "check_pair": "pair",
    "generate": "generation",
    "hooked": "hooks",
    "load_pair": "pair",
    "next_tokens": "next_tokens",
    "open_pair": "store",
    "forward_texts": "forward_texts",
    "score_branches": "branches",
    "tokens_fingerprint": "store",
    "unembed": "unembed",
}

__all__ = [
    "SITES",
    "Batch",
    "Branch",
    "BranchScores",
    "Captured",
    "Checkpoint",
    "ForwardTexts",
    "GateAt",
    "Generations",
    "HookFunction",
    "HookPoint",
    "Intervention",
    "NextTokens",
    "Operator",
    "Pair",
    "PairBatch",
    "Positions",
    "RecordSpec",
    "Room",
    "Site",
    "Store",
    "StorePair",
    "StoreWriter",
    "TextSpan",
    "Threshold",
    "TokenSelector",
    "TokenSpan",
    "UserError",
    "branches_at",
    "capture",
    "capture_pair_to_store",
    "capture_to_store",
    "check_pair",
    "forward_texts",
    "generate",
    "hooked",
    "load_pair",
    "next_tokens",
    "open_pair",
    "score_branches",
    "tokens_fingerprint",
    "unembed",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"undertext.activations.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps `activations.capture` the function: importing its submodule would put the module there."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
