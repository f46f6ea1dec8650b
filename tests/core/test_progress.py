"""Bars of one process are no other process's concern."""

import multiprocessing
import os
import signal

from tqdm.auto import tqdm

from tests.killing import forked
from undertext.core.progress import Progress

HANGS = 60
"""Seconds after which a process that waits for a lock is ended, and the test fails."""


def test_a_process_killed_while_it_draws_keeps_no_other_from_drawing():
    """As one of a sweep's, killed for its memory."""
    # A lock of these two processes alone: with tqdm's own, every later bar of this one would wait as well.
    shared = multiprocessing.RLock()

    def killed_with_the_lock() -> None:
        tqdm.set_lock(shared)
        tqdm.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    def draws() -> None:
        tqdm.set_lock(shared)
        signal.alarm(HANGS)
        with Progress(False).stage("a stage", 3) as done:
            done(3)

    _, status = os.waitpid(forked(killed_with_the_lock), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    _, status = os.waitpid(forked(draws), 0)
    assert os.WIFEXITED(status), "it waits for a lock that nobody will open"
    assert os.WEXITSTATUS(status) == 0
