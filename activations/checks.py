"""Whether what a user passed is of the kind that was asked for.

Settings are checked here too, before any long work: torch is loaded where tensors are looked at, not before.
"""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

from undertext.activations.errors import UserError, shown


def check_number(name: str, value: object) -> None:
    """UserError unless `value` is one finite number (a tensor is none, though it may hold one)."""
    try:
        finite = not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        finite = False
    if not finite:
        raise UserError(f"{name} must be a finite number, got {_written(value)}")


def check_whole(name: str, value: object, least: int) -> None:
    """UserError unless `value` is a whole number of at least `least`."""
    if not is_whole(value) or value < least:  # type: ignore[operator]
        raise UserError(f"{name} must be at least {least}, a whole number, got {_written(value)}")


def _written(value: object) -> str:
    try:
        return shown(repr(value), 60)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a whole number of thousands of digits"


def is_whole(value: object) -> bool:
    """Whether `value` is a whole number: no bool, no float, no tensor."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_vector(name: str, value: object) -> None:
    """UserError unless `value` is a tensor of real numbers with at least one axis."""
    import torch
    from torch import Tensor

    if not isinstance(value, Tensor) or value.is_complex() or value.dtype == torch.bool or not value.ndim:
        what = (
            f"a tensor of {value.dtype}, {list(value.shape)}"
            if isinstance(value, Tensor)
            else type(value).__name__
        )
        raise UserError(f"{name} must be a torch tensor of real numbers, got {what}")


def check_list(name: str, value: object, of: type | tuple[type, ...], each: str) -> None:
    """UserError unless `value` is a list or tuple whose items are all `of` a type, called `each`."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, of) for item in value):
        raise UserError(f"{name} must be a list of {each}, got {shown(repr(value), 80)}")


def check_dtype(name: str, value: object) -> None:
    """UserError unless `value` is a floating type of torch: others would cut activations to whole numbers."""
    import torch

    if not isinstance(value, torch.dtype) or not value.is_floating_point:
        raise UserError(
            f"{name} must be a floating type of torch such as torch.float32, got {shown(repr(value), 60)}"
        )


def token_ids(index: int, prompt: Any) -> list[int]:
    """A prompt's token ids as whole numbers; UserError for what is no sequence of them."""
    import numpy as np
    from torch import Tensor

    if type(prompt) is list and set(map(type, prompt)) == {int}:
        return list(prompt)
    items: Any = prompt.tolist() if isinstance(prompt, Tensor | np.ndarray) else prompt
    if not isinstance(items, Sequence | range):
        raise UserError(
            f"prompt {index} must be a text or a list of token ids, got {shown(repr(prompt), 60)}: "
            "several prompts are a list of such"
        )
    if not all(type(each) is int or is_whole(each) for each in items):
        raise UserError(
            f"prompt {index} must be a text or a list of token ids, got {shown(repr(prompt), 60)}"
        )
    return [operator.index(each) for each in items]
