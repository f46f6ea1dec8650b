"""A part's work as bytes that another machine can run.

Functions and values travel as they are; checkpoints do not. A checkpoint travels as what it was read from and
its fingerprint, and is read again where it arrives: weights are on a file system or the hub already.
"""

import io
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from transformers import PreTrainedModel

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line
from undertext.activations.weights import Source, Weights
from undertext.core.reopening import nothing_shared, placed, reopened, unscratched
from undertext.core.resume import Part
from undertext.core.shared import Shared
from undertext.core.shipped import SHIPPED, ZOO

MOST_BYTES = 1 << 30
"""More than this of a part's inputs is taken for a mistake: it would fill the memory of the cluster."""


def part_bytes(part: Part, run: type, device: str) -> tuple[bytes, set[str]]:
    """What `Part.make` is, and the sources of the checkpoints in it; `pickle.loads` gives it back.

    `run` is the class of jobs' runs, of which none travels; modules that are no checkpoints are put on
    `device`. Raises UserError where a live model is in it, and where it cannot be sent at all.
    """
    from ray import cloudpickle

    sources: set[str] = set()
    inside: set[int] = set()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc, name-defined, unused-ignore]
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, Checkpoint):
                source = _source(value)
                sources.add(repr(source))
                return reopened, (
                    source, value.fingerprint, value.name, value.tokenizer, value.special_tokens, value.notes,
                )  # fmt: skip
            if isinstance(value, PreTrainedModel | Weights):
                raise UserError(
                    f"the part {part.key} holds a model that was not opened from a folder or the hub"
                )
            if isinstance(value, Shared):
                return nothing_shared, ()
            if isinstance(value, MethodType) and isinstance(value.__self__, run):
                return getattr, (unscratched(), value.__name__)
            if isinstance(value, run):
                return unscratched, ()
            if isinstance(value, torch.nn.Module) and id(value) not in inside:
                inside.add(id(value))
                return placed, (value, device)
            return super().reducer_override(value)  # type: ignore[no-untyped-call]

    sink = io.BytesIO()
    try:
        Pickler(sink).dump(part.make)  # type: ignore[no-untyped-call]
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the part {part.key} cannot be sent to another machine ({one_line(error)}): run it with "
            "--engine local"
        ) from error
    if sink.tell() > MOST_BYTES:
        raise UserError(
            f"the part {part.key} has inputs of {sink.tell():,} bytes, and {MOST_BYTES:,} can be sent: run "
            "it with --engine local"
        )
    return sink.getvalue(), sources


def _source(checkpoint: Checkpoint) -> Source:
    source = checkpoint.weights.source
    if source is None:
        raise UserError(
            f"{shown(checkpoint.name)} is a live model, which another machine cannot open: save it with "
            "save_pretrained, its tokenizer beside it, and give the folder"
        )
    return source._replace(source=_shipped(source.source), base=source.base and _shipped(source.base))


def _shipped(source: str) -> str:
    """A shipped organism by its name: it may be in another folder elsewhere."""
    path = Path(source)
    return f"{ZOO}{path.name}" if path.parent == SHIPPED.resolve() else source
