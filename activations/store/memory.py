"""Room for activations."""

import math

import numpy as np
import torch
from torch import Tensor


def new_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on the CPU, like `torch.empty`.

    numpy asks the system for huge pages and torch does not: filling a large tensor for the first time, as
    reading and copying do, takes about half the time in them.
    """
    if 0 in shape:  # memory of no bytes cannot be seen as another type
        return torch.empty(shape, dtype=dtype)
    room = np.empty(math.prod(shape) * dtype.itemsize, dtype=np.uint8)
    return torch.from_numpy(room).view(dtype).view(shape)


class Room:
    """Memory that is used again and again: after the first time, filling it costs a third or less."""

    def __init__(self, size: int):
        self._block = np.empty(size, dtype=np.uint8)  # of pages that do not exist before they are filled
        self._used = 0

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor of it, or of new memory where it is too small, valid until `clear`."""
        size = math.prod(shape) * dtype.itemsize
        start = -(-self._used // 64) * 64
        if not size or start + size > len(self._block):
            return new_tensor(shape, dtype)
        self._used = start + size
        return torch.from_numpy(self._block[start : self._used]).view(dtype).view(shape)

    def clear(self) -> None:
        """Give back all that was taken."""
        self._used = 0
