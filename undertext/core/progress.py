"""One progress bar a stage, on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from tqdm.auto import tqdm


class Progress:
    """Bars for the stages of a long job. `show=None` shows them where stderr is a terminal."""

    def __init__(self, show: bool | None = None, prefix: str = "") -> None:
        self.show = sys.stderr.isatty() if show is None else show
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
        start = perf_counter()
        bar = tqdm(total=total, desc=f"{self.prefix}{name}", disable=not self.show, leave=False)

        def done(units: int) -> None:
            bar.update(units)

        try:
            yield done
        finally:
            bar.close()
            self.timings[name] = self.timings.get(name, 0.0) + perf_counter() - start
