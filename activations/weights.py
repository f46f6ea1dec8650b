"""The weights of a model, which can make room for those of another and be read again in their turn."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from transformers import PreTrainedModel

from undertext.activations.errors import UserError, shown

Stamp = list[tuple[str, int, int]]


class Source(NamedTuple):
    """What weights were read from, and how: arguments of `Checkpoint.load` that read the same ones again, in
    another process too."""

    source: str
    """A folder by its full path, or a hub id."""
    dtype: torch.dtype | Literal["auto"]
    trust_remote_code: bool
    revision: str | None
    base: str | None
    """What an adapter is merged into where its own base is not there; a full path too."""
    alone: bool
    """Whether they share a `Room` with those of others."""


class Weights:
    """A model's modules, which stay, and its weights, which are there whenever `here` is asked for.

    Only those that `read` can read again ever leave: live models and quantised ones stay as they are.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        read: Callable[[], PreTrainedModel] | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        self.modules = model
        """The model itself, its weights there or not: for sizes, devices, precision and identity."""
        self.source: Source | None = None
        """What they were read from; None for weights that are nowhere but here."""
        self.room: Room | None = None
        """Where they are in memory only in their turn; None where they always are."""
        self.files: Sequence[Path] = ()
        """Safetensors files that hold them too, under the same names (`activations.originals`); none of
        weights that are live, quantised, or merged with an adapter's."""
        self._read, self._folders = read, folders
        self._stamp = _stamp(folders)

    @property
    def make_room(self) -> bool:
        """Whether they leave main memory while others are in their place (`activations.originals`)."""
        return bool(self.files) and self.modules.device.type == "cpu"

    def here(self) -> PreTrainedModel:
        """The model with its weights. UserError where they have to be read again and cannot be."""
        if self.room is not None:
            self.room.enter(self)
        return self.modules

    def share(self, room: "Room") -> None:
        """Be in memory only in these weights' turn; without a way to read them again they stay."""
        if self._read is not None:
            self.room = room
            room.begin(self)

    def leave(self) -> None:
        """Give the memory back. Whoever still holds a tensor of them fails at once, for its size is 0."""
        for parameter in self.modules.parameters():
            parameter.data = parameter.data.new_empty(0)

    def come(self) -> None:
        """Read the weights again, into the very modules that they left.

        UserError where files have changed meanwhile, or cannot be read.
        """
        assert self._read is not None
        if _stamp(self._folders) != self._stamp:
            where = ", ".join(shown(folder) for folder in self._folders)
            raise UserError(f"the files of {where} have changed while they were in use: start again")
        fresh = self._read()
        own = dict(self.modules.named_parameters())
        for name, parameter in fresh.named_parameters():
            own[name].data = parameter.data

    def __deepcopy__(self, memo: dict[int, Any]) -> "Weights":
        return Weights(copy.deepcopy(self.here(), memo))


class Room:
    """Room for the weights of one model at a time."""

    def __init__(self) -> None:
        self._inside: Weights | None = None
        self.turns = 0
        """How often weights have been read again."""

    def begin(self, weights: Weights) -> None:
        """Take in weights that have just been read; those inside leave."""
        if self._inside is not None and self._inside is not weights:
            self._inside.leave()
        self._inside = weights

    def enter(self, weights: Weights) -> None:
        """Take in weights that may have left."""
        if self._inside is weights:
            return
        self.clear()
        weights.come()
        self._inside = weights  # not before: weights that could not be read are not there
        self.turns += 1

    def clear(self) -> None:
        """Whoever is inside leaves: another model is about to be read."""
        if self._inside is not None:
            self._inside.leave()
            self._inside = None


def _stamp(folders: Sequence[Path]) -> Stamp:
    """Name, size and time of change of each file of weights."""
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.safetensors"))]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
