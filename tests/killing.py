"""Killing a copy of this process (SIGKILL) at a moment counted in what it does, and not in seconds."""

import os
import signal
import sys
import threading
from collections.abc import Callable

from tqdm import tqdm

Step = Callable[..., None]
"""What `work` calls after each of its steps, with whatever arguments it has."""


def forked(work: Callable[[], object]) -> int:
    """The process id of a copy of this process that does `work` and ends; nothing of it outlives a kill."""
    child = os.fork()
    if child == 0:
        status = 1
        # tqdm's lock is shared with the process that was forked: who is killed with it would leave it locked.
        tqdm.set_lock(threading.RLock())
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def killed_at_step(work: Callable[[Step], object], step: int = 0, *, events: int = 0) -> None:
    """Do `work` in another process, which dies in a function `events` calls and returns after a step.

    Step 0 is the beginning of the work; the others are counted by the calls of what `work` is given.
    """
    killed_when(work, lambda steps: steps >= step, events=events)


def killed_when(work: Callable[[Step], object], due: Callable[[int], bool], *, events: int = 0) -> None:
    """As `killed_at_step`, at the first step at which `due`, asked with the number of steps done, holds."""

    def doomed() -> None:
        steps, left = 0, events

        def count_down(*_: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def stepped(*_: object) -> None:
            nonlocal steps
            steps += 1
            if sys.getprofile() is None and due(steps):
                sys.setprofile(count_down)

        if due(0):
            sys.setprofile(count_down)
        work(stepped)

    _, status = os.waitpid(forked(doomed), 0)
    assert os.WIFSIGNALED(status), "the work ended before it was killed"
