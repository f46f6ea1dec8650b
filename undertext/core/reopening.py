"""What stands in another process for that which does not travel with a part's work."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.weights import Room, Source
from undertext.core.setup import LastOpened
from undertext.core.shipped import ZOO, zoo


class Kept:
    """The checkpoints that this process has opened: those of one job, each once."""

    def __init__(self) -> None:
        self.last = LastOpened()
        """The one that the job opens by itself, out of several."""
        self._job, self._device = "", "cpu"
        self._by_source: dict[str, Checkpoint] = {}
        self._room = Room()

    def begin(self, job: str, device: str, sources: Collection[str]) -> None:
        """Forget those of other jobs, so that their memory is free before more are opened; `sources` are this
        job's."""
        if (job, device) != (self._job, self._device):
            self.last.forget()
        if device != self._device:
            self._by_source.clear()
        self._job, self._device = job, device
        for source in self._by_source.keys() - set(sources):
            del self._by_source[source]

    def open(self, source: Source) -> Checkpoint:
        """The checkpoint of this source. UserError where it is not there, as `Checkpoint.load`."""
        key = repr(source)
        if key not in self._by_source:
            self._by_source[key] = Checkpoint.load(
                _path(source.source),
                device=self._device,
                dtype=source.dtype,
                trust_remote_code=source.trust_remote_code,
                revision=source.revision,
                base=source.base and _path(source.base),
                room=self._room if source.alone else None,
            )
        return self._by_source[key]


kept = Kept()


def reopened(
    source: Source,
    fingerprint: str,
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: bool,
    notes: tuple[str, ...],
) -> Checkpoint:
    """A checkpoint, read again. UserError where what is found there is another one."""
    opened = kept.open(source)
    if opened.fingerprint != fingerprint:
        raise UserError(
            f"{shown(source.source)} holds other weights here ({opened.fingerprint}) than where the job was "
            f"started ({fingerprint}): give a folder that all machines share, or a revision of the hub"
        )
    return replace(opened, name=name, tokenizer=tokenizer, special_tokens=special_tokens, notes=notes)


def _path(source: str) -> str | Path:
    return zoo(source.removeprefix(ZOO)) if source.startswith(ZOO) else source


def placed(module: torch.nn.Module, device: str) -> torch.nn.Module:
    """A module on a device; auto, which is for checkpoints, leaves it where it is."""
    return module if device == "auto" else module.to(device)


def nothing_shared() -> None:
    """In place of what jobs of one call share, which is in a folder of another machine."""


class Unscratched:
    """In place of a job's run: it keeps nothing on the way to a part's end."""

    def scratch(self, key: str) -> Path | None:
        """None: rows are kept nowhere."""
        return None


def unscratched() -> Any:
    """An `Unscratched`."""
    return Unscratched()
