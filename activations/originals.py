"""Weights that stand in safetensors files as well, and so need no copy while others are in their place.

Nothing leaves memory unless its files were found to hold it, bit for bit, there and then: weights that a
caller has changed since they were read stay, or are copied.
"""

import json
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line
from undertext.activations.weights import Weights

_PART = 1 << 22
"""Numbers that are read at a time."""
_HEADER = 100_000_000
"""Most bytes of a file's header: the format allows no more."""
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@contextmanager
def restored(weights: Weights, parameters: Sequence[Tensor]) -> Iterator[None]:
    """The body may change these parameters of a model in place; afterwards they are what they were, bit for
    bit, whatever happens. Those that files hold are read from there, all others are copied meanwhile; those
    that share a room leave it, and are read again in their turn.

    Raises:
        UserError: where the files have changed meanwhile. What they held is then in memory no more.
    """
    if weights.room is not None:
        try:
            yield
        finally:
            weights.room.clear()
        return
    with _Files(weights.files) as files:
        stored = files.holding(weights, parameters)
        copies = [(each, each.detach().clone()) for each in parameters if id(each) not in stored]
        try:
            yield
        finally:
            try:
                files.give_back([each for each in parameters if id(each) in stored], stored, mapped=False)
            finally:
                with torch.no_grad():
                    for parameter, copy in copies:
                        parameter.copy_(copy)


@contextmanager
def away(weights: Weights) -> Iterator[None]:
    """The body without the weights of a model that its files hold: their memory is free. Others stay. Whoever
    uses the model meanwhile fails at once. Afterwards they are there again, bit for bit, whatever happens.

    Raises:
        UserError: where the files have changed meanwhile. What they held is then in memory no more.
    """
    with _Files(weights.files) as files:
        # Buffers are of the same mapped files: one that stayed would keep all in memory.
        every = {id(each): each for each in weights.modules.state_dict(keep_vars=True).values()}
        stored = files.holding(weights, list(every.values()))
        gone = [each for each in every.values() if id(each) in stored]
        try:
            _empty(gone)
            yield
        finally:
            files.give_back(gone, stored, mapped=True)


class _Stored(NamedTuple):
    """Where a tensor stands."""

    file: FileIO
    dtype: torch.dtype
    shape: list[int]
    start: int
    """Byte of the file at which it begins."""


class _Files:
    """Safetensors files, held open, so that what takes their names meanwhile is not read for them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._stack = ExitStack()
        self._stamps: dict[FileIO, tuple[int, int]] = {}
        self._by_name: dict[str, _Stored] = {}

    def __enter__(self) -> "_Files":
        try:
            for path in self._paths:
                self._open(self._stack.enter_context(path.open("rb", buffering=0)))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ):  # gone, or other files than were read
            self._by_name.clear()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _open(self, file: FileIO) -> None:
        self._stamps[file] = _stamp(file)
        length = int.from_bytes(file.read(8), "little")
        if length > _HEADER:
            raise ValueError("no safetensors file")
        header: dict[str, Any] = json.loads(file.read(length))
        for name, entry in header.items():
            if (dtype := _DTYPES.get(entry.get("dtype"))) is not None:
                start = 8 + length + int(entry["data_offsets"][0])
                self._by_name[name] = _Stored(file, dtype, list(entry["shape"]), start)

    def holding(self, weights: Weights, tensors: Sequence[Tensor]) -> dict[int, _Stored]:
        """By id, those of a model's tensors that the files hold."""
        wanted = {id(each) for each in tensors}
        found: dict[int, _Stored] = {}
        # A tensor may have several names (tied weights), of which the files know one.
        for name, tensor in weights.modules.state_dict(keep_vars=True).items():
            stored = self._by_name.get(name)
            if id(tensor) in wanted and id(tensor) not in found and stored and _same(stored, tensor):
                found[id(tensor)] = stored
        return found

    def give_back(self, tensors: Sequence[Tensor], stored: dict[int, _Stored], *, mapped: bool) -> None:
        """Make these tensors what they were: in new memory, mapped, or in their own.

        Where that fails they are emptied, so that no figure comes of what is in them.
        """
        try:
            maps: dict[FileIO, mmap.mmap] = {}
            for tensor in tensors:
                own = stored[id(tensor)]
                if not mapped:
                    for part, read in _parts(own, tensor):
                        part.copy_(read)
                    continue
                if own.file not in maps:
                    maps[own.file] = mmap.mmap(own.file.fileno(), 0, access=mmap.ACCESS_COPY)
                count = int(torch.Size(own.shape).numel())
                flat = torch.frombuffer(maps[own.file], dtype=own.dtype, offset=own.start, count=count)
                tensor.data = flat.reshape(own.shape).to(tensor.dtype)
            for file, stamp in self._stamps.items():
                if tensors and _stamp(file) != stamp:
                    raise UserError(
                        f"{shown(file.name)} has changed while its weights were in use: start again"
                    )
        except OSError as error:
            _empty(tensors)
            raise UserError(f"weights could not be read again: {one_line(error)}") from error
        except BaseException:
            _empty(tensors)
            raise


def _empty(tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        tensor.data = tensor.data.new_empty(0)


def _stamp(file: FileIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _same(stored: _Stored, tensor: Tensor) -> bool:
    """Whether a tensor is, bit for bit, what is stored, at its own precision."""
    if tensor.device.type != "cpu" or not tensor.numel() or not tensor.is_contiguous():
        return False
    if list(tensor.shape) != stored.shape or not tensor.is_floating_point():
        return False
    try:
        return all(
            torch.equal(part.view(torch.uint8), read.to(part.dtype).view(torch.uint8))
            for part, read in _parts(stored, tensor)
        )
    except OSError:
        return False


def _parts(stored: _Stored, tensor: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A tensor's numbers a part at a time, each with what is stored of it, which the next part overwrites."""
    flat = tensor.detach().view(-1)
    buffer = torch.empty(min(_PART, len(flat)), dtype=stored.dtype)
    stored.file.seek(stored.start)
    for part in flat.split(_PART):
        read = buffer[: len(part)]
        room = read.view(torch.uint8).numpy().data
        while len(room):
            count = stored.file.readinto(room)
            if not count:
                raise OSError(f"{stored.file.name} is shorter than it was")
            room = room[count:]
        yield part, read
