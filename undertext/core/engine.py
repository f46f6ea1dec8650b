"""What runs a job's parts: this process by itself, or an engine that gives them to other processes, here or
elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from undertext.activations.errors import UserError, shown
from undertext.core.plan import planning
from undertext.core.processes import Processes
from undertext.core.progress import Progress
from undertext.core.resume import Part
from undertext.core.setup import opened_on
from undertext.core.stored import Stored

ON_GPUS = ("cuda", "auto")
"""Devices that are GPUs of whichever machine runs a part."""


@runtime_checkable
class Engine(Protocol):
    """Runs parts in other processes."""

    def make(
        self,
        parts: Sequence[Part],
        store: Stored | None,
        done: Callable[[Part, Any], None],
        bars: Progress,
    ) -> None:
        """Run parts that are independent of one another, and call `done` with what each makes as it is made;
        what is in the `store` comes from there. An error of one ends the others and is raised.
        """
        ...


@contextmanager
def engine_of(config: BaseModel, run: type) -> Iterator[Engine | None]:
    """The engine that the config names, for as long as a job takes; None where this process runs the parts.
    A config with `jobs` has so many processes of this machine.

    `run` is the class of jobs' runs. Inside, checkpoints are opened on the CPU where parts run on GPUs of
    other machines. UserError where the engine cannot run.
    """
    engine, address = getattr(config, "engine", "local"), getattr(config, "address", None)
    if engine == "local":
        if address is not None:
            raise UserError(f"expected engine ray beside the address {shown(address)}, got engine local")
        jobs = getattr(config, "jobs", None)
        yield None if jobs is None or planning.get() else Processes(jobs)
        return
    device = str(getattr(config, "device", "cpu"))
    if device not in ("cpu", *ON_GPUS):
        raise UserError(
            f"expected device cpu, cuda or auto for engine ray, which says which GPUs a part has, got "
            f"{shown(device)}"
        )
    if planning.get():  # rates are of this machine
        yield None
        return
    from undertext.core.ray_engine import RayEngine, connected

    with connected(address) as at:
        token = opened_on.set("cpu")
        try:
            yield RayEngine(at, config, run)
        finally:
            opened_on.reset(token)
