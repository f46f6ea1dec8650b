"""A job's parts in processes of this machine, so many side by side."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tqdm.std import tqdm

from undertext.activations.errors import UserError
from undertext.core.progress import Progress
from undertext.core.resume import Part
from undertext.core.stored import Stored

MIXED = "parts"
"""What the bar counts where parts are of several stages."""
LOOK_EVERY = 2.0
"""Seconds between two looks at whether a process was lost."""


class Processes:
    """Runs parts in so many processes (one: this one). Each part's `make` must be such that pickle can send
    it."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def make(
        self,
        parts: Sequence[Part],
        store: Stored | None,
        done: Callable[[Part, Any], None],
        bars: Progress,
    ) -> None:
        """As `Engine.make`; a bar counts the parts by the stage that they share."""
        stages = {part.stage or part.key for part in parts}
        with bars.stage(stages.pop() if len(stages) == 1 else MIXED, len(parts)) as finished:
            for place, value in self._made(parts):
                if store is not None:
                    store.write(parts[place].key, value)
                done(parts[place], value)
                finished(1)

    def _made(self, parts: Sequence[Part]) -> Iterator[tuple[int, Any]]:
        orders = [_Order(place, part.make) for place, part in enumerate(parts)]
        jobs = min(self._jobs, len(parts))
        if jobs < 2:
            yield from map(_run, orders)
            return
        # Processes rather than threads: two small models side by side want a core each. SIGINT is ours to
        # handle.
        others = set(multiprocessing.active_children())
        with multiprocessing.get_context("spawn").Pool(jobs, initializer=_ignore_interrupts) as pool:
            workers = set(multiprocessing.active_children()) - others
            made = pool.imap_unordered(_run, orders)
            for _ in orders:
                yield _next(made, workers)
            pool.close()
            pool.join()  # so that the workers end by themselves, and clear up, rather than being ended


def _next(made: Any, workers: set[Any]) -> tuple[int, Any]:
    """What the next part made. UserError where a process was lost: its part would never come."""
    while True:
        try:
            return made.next(timeout=LOOK_EVERY)
        except multiprocessing.TimeoutError:
            if lost := workers - set(multiprocessing.active_children()):
                codes = ", ".join(sorted(str(each.exitcode) for each in lost))
                raise UserError(
                    f"a process that worked on a part was killed (exit code {codes}; -9 is often a lack of "
                    "memory): what is finished is kept, and fewer side by side (--jobs 1) need less"
                ) from None


class _Order(NamedTuple):
    place: int
    make: Callable[[Callable[[int], None]], Any]


def _run(order: _Order) -> tuple[int, Any]:
    return order.place, order.make(_uncounted)


def _uncounted(units: int) -> None:
    """The bar counts whole parts."""


def _ignore_interrupts() -> None:
    # tqdm's own lock is shared between processes, and a worker that is ended leaves it behind with a warning.
    tqdm.set_lock(threading.RLock())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
