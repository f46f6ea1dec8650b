"""How far a long job is, and about how long it still takes: a bar a stage on a terminal and in a notebook,
elsewhere (a log of Slurm) a line a minute."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from tqdm.std import tqdm

from undertext.activations.errors import shown
from undertext.core.notebook_bar import NotebookBar, in_notebook

EVERY = 60.0
"""Seconds between two lines where stderr is no terminal."""


class Bar(tqdm):  # type: ignore[misc, unused-ignore, type-arg]
    """A bar whose lock is this process's own.

    tqdm's is shared by all processes that were forked of one: where one of a sweep is killed while it draws,
    every other one would wait for ever at its next bar.
    """


Bar.set_lock(threading.RLock())


class Progress:
    """The stages of a long job. `show` is False for nothing; True and None show bars where stderr is a
    terminal and in a notebook, and elsewhere a line for each minute that a stage lasts."""

    def __init__(self, show: bool | None = None, prefix: str = "") -> None:
        wanted = show is not False
        self.page = NotebookBar() if wanted and in_notebook() else None
        self.show = wanted and (self.page is not None or sys.stderr.isatty())
        self.lines = wanted and not self.show
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
        bar = Bar(total=total, desc=title, disable=not self.show or self.page is not None, leave=False)
        if self.page is not None:
            self.page.show(f"{title}: begun", 0.0)

        def done(units: int) -> None:
            nonlocal finished, said
            bar.update(units)
            finished += units
            now = perf_counter()
            if self.page is not None:
                share = finished / total if total else None
                self.page.show(f"{title}: {far(finished, total, now - start)}", share)
            elif self.lines and now - said >= EVERY:
                said = now
                print(f"{title}: {far(finished, total, now - start)}", file=sys.stderr, flush=True)

        try:
            yield done
        finally:
            bar.close()
            took = perf_counter() - start
            if self.page is not None:
                self.page.show(f"{title}: {took:.0f} s", 1.0, last=True)
            elif self.lines and took >= EVERY:
                print(f"{title}: {took:.0f} s", file=sys.stderr, flush=True)
            self.timings[name] = self.timings.get(name, 0.0) + took


def far(finished: int, total: int | None, seconds: float) -> str:
    """How far a stage is after so many seconds, and how long it still takes where the rest is as fast."""
    said = f"{finished}"
    if total is not None:
        said += f" of {total} ({finished / max(total, 1):.0%})"
    said += f" after {seconds:.0f} s"
    if total is not None and 0 < finished < total:
        said += f", about {seconds / finished * (total - finished):.0f} s left"
    return said
