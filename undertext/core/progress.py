"""How far a long job is, on stderr: a bar a stage on a terminal, elsewhere a line a minute."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from tqdm.auto import tqdm

from undertext.activations.errors import shown

EVERY = 60.0
"""Seconds between two lines where stderr is no terminal (a log of Slurm, a notebook)."""


class Bar(tqdm):  # type: ignore[misc, unused-ignore, type-arg]
    """A bar whose lock is this process's own.

    tqdm's is shared by all processes that were forked of one: where one of a sweep is killed while it draws,
    every other one would wait for ever at its next bar.
    """


Bar.set_lock(threading.RLock())


class Progress:
    """The stages of a long job. `show` is True for bars, False for nothing; None shows bars where stderr is a
    terminal, and otherwise a line for each minute that a stage lasts."""

    def __init__(self, show: bool | None = None, prefix: str = "") -> None:
        self.show = sys.stderr.isatty() if show is None else show
        self.lines = show is None and not self.show
        self.prefix = prefix
        self.timings: dict[str, float] = {}
        """Seconds a stage took, by name; stages of one name add up."""

    @classmethod
    def of(cls, given: "bool | Progress | None") -> "Progress":
        """The bars that a job was given, or new ones."""
        return given if isinstance(given, Progress) else cls(given)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A stage of `total` units; call what is yielded with how many are done."""
        start = said = perf_counter()
        finished = 0
        title = shown(f"{self.prefix}{name}")
        bar = Bar(total=total, desc=title, disable=not self.show, leave=False)

        def done(units: int) -> None:
            nonlocal finished, said
            bar.update(units)
            finished += units
            now = perf_counter()
            if self.lines and now - said >= EVERY:
                said = now
                of = "" if total is None else f" of {total} ({finished / max(total, 1):.0%})"
                print(f"{title}: {finished}{of} after {now - start:.0f} s", file=sys.stderr, flush=True)

        try:
            yield done
        finally:
            bar.close()
            took = perf_counter() - start
            if self.lines and took >= EVERY:
                print(f"{title}: {took:.0f} s", file=sys.stderr, flush=True)
            self.timings[name] = self.timings.get(name, 0.0) + took
