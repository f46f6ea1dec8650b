"""Work on several things side by side, each in a process of its own."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tqdm.std import tqdm

from undertext.core.progress import Progress

Thing = TypeVar("Thing")
Made = TypeVar("Made")


def side_by_side(
    work: Callable[[Thing], Made], things: Sequence[Thing], jobs: int, what: str
) -> Iterator[Made]:
    """What `work` makes of each thing, as each is done, by so many processes (one: by this one).

    A bar counts the things as `what`.

    `work` and the things must be importable and picklable. An error of one ends the others and is raised.
    """
    with Progress().stage(what, len(things)) as done:
        if jobs == 1 or len(things) < 2:
            for thing in things:
                yield work(thing)
                done(1)
            return
        # Processes rather than threads: two small models side by side want a core each. SIGINT is ours to
        # handle.
        with multiprocessing.get_context("spawn").Pool(jobs, initializer=_ignore_interrupts) as pool:
            for made in pool.imap_unordered(work, things):
                yield made
                done(1)
            pool.close()
            pool.join()  # so that the workers end by themselves, and clear up, rather than being ended


def _ignore_interrupts() -> None:
    # tqdm's own lock is shared between processes, and a worker that is ended leaves it behind with a warning.
    tqdm.set_lock(threading.RLock())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
