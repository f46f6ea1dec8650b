"""One part of a job, run by a process of a Ray cluster."""

import os
import pickle
import socket
import traceback
from collections.abc import Mapping
from time import perf_counter
from typing import Any, NamedTuple

from undertext.activations.errors import UserError
from undertext.core.stored import Stored


class Order(NamedTuple):
    """What a process is told of a job and of one part of it."""

    job: str
    """A name of this run of the job, which no other has."""
    key: str
    make: bytes
    """`Part.make`, by `part_bytes`."""
    sources: frozenset[str]
    """Sources of all the checkpoints that parts of the job have needed so far."""
    device: str
    threads: int
    versions: Mapping[str, str]
    """Versions where the job was started."""
    folder: str
    """Working directory there."""
    store: tuple[str, str] | None
    """URL and name of the job's folder in a store; None sends back what the part made."""


class Made(NamedTuple):
    """A part is done: its value as bytes, None where it is in the store."""

    value: bytes | None
    seconds: float
    host: str


class Failed(NamedTuple):
    """A part raised an error."""

    mistake: bool
    """Whether it is a mistake that a user can mend (UserError)."""
    text: str
    trace: str
    error: bytes | None
    """The error itself; None where it cannot be pickled."""
    host: str


def run_part(order: Order) -> Made | Failed:
    """Run one part, with checkpoints that this process keeps for the next."""
    host = socket.gethostname()
    try:
        return _made(order, host)
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        return Failed(isinstance(error, UserError), str(error), trace, _pickled(error), host)


def _made(order: Order, host: str) -> Made:
    from undertext.core.packing import pack
    from undertext.core.reopening import kept
    from undertext.core.setup import last_opened, threads, versions

    here = versions()
    if differ := [name for name, version in order.versions.items() if here.get(name) != version]:
        said = ", ".join(f"{name} {here.get(name)} against {order.versions[name]}" for name in differ)
        raise UserError(
            f"{host} has other versions than the machine on which the job was started ({said}): install the "
            "same ones"
        )
    if os.path.isdir(order.folder):  # so that relative paths mean what they do there
        os.chdir(order.folder)
    kept.begin(order.job, order.device, order.sources)
    last_opened.set(kept.last)
    start = perf_counter()
    with threads(order.threads):
        make = pickle.loads(order.make)
        value: Any = make(_uncounted)
    if order.store is None:
        return Made(pack(value), perf_counter() - start, host)
    Stored(*order.store).write(order.key, value)
    return Made(None, perf_counter() - start, host)


def _uncounted(units: int) -> None:
    """Units are counted where the job was started, once the whole part is done."""


def _pickled(error: Exception) -> bytes | None:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return None
    return data
