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
