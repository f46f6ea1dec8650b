"""A job's parts on a Ray cluster: a task each, tried again elsewhere where a machine is lost."""

import os
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import torch
from pydantic import BaseModel

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line
from undertext.core.packing import unpack
from undertext.core.part_bytes import part_bytes
from undertext.core.progress import Progress
from undertext.core.ray_cluster import check_room, connected, ray
from undertext.core.ray_worker import Failed, Made, Order, run_part
from undertext.core.resume import Part
from undertext.core.setup import versions
from undertext.core.stored import Stored

__all__ = ["RayEngine", "connected"]

TRIES_AGAIN = 4
"""How often a part is begun again whose machine or process was lost."""
LOOK_EVERY, PATIENCE = 10.0, 300.0
"""Seconds between two looks at the machines that are left, and how long a part waits for one."""
STAGE = "on Ray"


class RayEngine:
    """Runs parts as tasks of the cluster that this process is connected to."""

    def __init__(self, address: str, config: BaseModel, run: type) -> None:
        self._address, self._run = address, run
        self._device = str(getattr(config, "device", "cpu"))
        on_gpus = self._device != "cpu"
        self._gpus = int(getattr(config, "gpus", 1)) if on_gpus else 0
        self._job, self._sources = uuid4().hex, frozenset[str]()

    def make(
        self,
        parts: Sequence[Part],
        store: Stored | None,
        done: Callable[[Part, Any], None],
        bars: Progress,
    ) -> None:
        """As `Engine.make`."""
        if store is not None and store.in_one_process:
            raise UserError(
                f"the store {shown(store.store)} is in the memory of one process, and engine ray has "
                "several: give a location that all machines reach"
            )
        orders = self._orders(parts, store)
        task = ray().remote(run_part)
        waiting: dict[Any, Part] = {}
        try:
            with bars.stage(STAGE, len(parts)) as finished:
                for part, order in zip(parts, orders, strict=True):
                    gpus = self._gpus_of(part)
                    check_room(self._address, order.threads, gpus)
                    options = {"num_cpus": order.threads, "num_gpus": gpus, "max_retries": TRIES_AGAIN}
                    ref = task.options(name=part.key, scheduling_strategy="SPREAD", **options).remote(order)
                    waiting[ref] = part
                del orders
                while waiting:
                    ref = self._next(list(waiting), max(map(self._gpus_of, waiting.values())))
                    part = waiting.pop(ref)
                    made = self._made(part, ref)
                    name = part.stage or part.key
                    bars.timings[name] = bars.timings.get(name, 0.0) + made.seconds
                    done(part, self._value(part, made, store))
                    finished(1)
        finally:
            for ref in waiting:
                ray().cancel(ref, force=True)

    def _gpus_of(self, part: Part) -> int:
        return self._gpus if part.gpus is None else part.gpus

    def _orders(self, parts: Sequence[Part], store: Stored | None) -> list[Order]:
        packed = [part_bytes(part, self._run, self._device) for part in parts]
        self._sources = self._sources.union(*(sources for _, sources in packed))
        here = versions()
        return [
            Order(
                job=self._job,
                key=part.key,
                make=make,
                sources=self._sources,
                device=self._device,
                threads=torch.get_num_threads(),
                versions=here,
                folder=os.getcwd(),
                store=None if store is None else (store.store, store.name),
            )
            for part, (make, _) in zip(parts, packed, strict=True)
        ]

    def _next(self, refs: list[Any], gpus: int) -> Any:
        """A task that has ended. UserError where no machine is left that could run the others."""
        lost_at = None
        while True:
            ended, _ = ray().wait(refs, num_returns=1, timeout=LOOK_EVERY)
            if ended:
                return ended[0]
            try:
                check_room(self._address, torch.get_num_threads(), gpus)
                lost_at = None
            except UserError as error:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > PATIENCE:
                    raise UserError(f"{error}. What is finished is kept") from error

    def _made(self, part: Part, ref: Any) -> Made:
        """What a task gave back. Raises what the part raised; UserError where its machines were lost."""
        try:
            made: Made | Failed = ray().get(ref)
        except ray().exceptions.RayError as error:
            raise UserError(_lost(part, error)) from error
        if isinstance(made, Made):
            return made
        if made.mistake:
            raise UserError(made.text)
        raised = _unpickled(made) or RuntimeError(f"{part.key} on {made.host}: {made.text}")
        raised.add_note(f"Raised by the part {part.key} on {made.host}:\n{made.trace}")
        raise raised

    def _value(self, part: Part, made: Made, store: Stored | None) -> Any:
        if made.value is not None:
            return unpack(made.value)
        assert store is not None, "what is not sent back is in the store"
        found = store.read(part.key)
        if found is None:
            raise UserError(
                f"{made.host} wrote the part {part.key} to the store {shown(store.store)}, and it is not "
                "there for this machine: give a location that all machines reach"
            )
        return found[0]


def _lost(part: Part, error: Exception) -> str:
    exceptions = ray().exceptions
    if isinstance(error, exceptions.RayTaskError):  # the task was not even begun
        return f"the part {part.key} could not be run on Ray: {one_line(error.cause or error)}"
    if isinstance(error, exceptions.RuntimeEnvSetupError):
        return f"Ray could not start a process for the part {part.key}: {one_line(error)}"
    why = (
        "its machine ran out of memory"
        if isinstance(error, exceptions.OutOfMemoryError)
        else f"its machine or process was lost ({type(error).__name__})"
    )
    return (
        f"the part {part.key} was begun {1 + TRIES_AGAIN} times, and at last {why}: it may need more memory "
        "than a machine has. What is finished is kept"
    )


def _unpickled(failed: Failed) -> Exception | None:
    try:
        error = None if failed.error is None else pickle.loads(failed.error)
    except Exception:  # of a type that is not here
        return None
    return error if isinstance(error, Exception) else None
