"""A process beside this one that answers requests, and is ended where an answer takes too long.

Neither a thread nor a signal ends what runs on in C, or in a thread: only a process is surely ended.
"""

import multiprocessing
import os
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError

_START_SECONDS = 120.0
"""What a process may take to import what it needs."""
_QUIET = "TOKENIZERS_PARALLELISM"
"""Where this is not set, tokenizers warns of every fork."""


class TooLong(Exception):
    """A request took longer than it may."""


class Worker:
    """Answers requests by `serve`, which is made in the process by `prepare`; started when first asked.

    With `most_bytes`, the process may take so much memory beyond what it begins with, where the system has
    such limits (Linux); a request that wants more fails.
    """

    def __init__(self, prepare: Callable[[], Callable[[Any], Any]], most_bytes: int | None = None) -> None:
        self._prepare, self._most_bytes = prepare, most_bytes
        self._process: BaseProcess | None = None
        self._owner = 0

    def ask(self, request: Any, seconds: float) -> Any:
        """The answer to `request`.

        Raises:
            TooLong: after so many seconds, or where the process died of the request (of memory, say).
            UserError: what `prepare` or `serve` raised.
        """
        try:
            self._start()
            self._pipe.send(request)
            if not self._pipe.poll(seconds):
                raise TooLong
            failed, answer = self._pipe.recv()
        except (EOFError, OSError, TooLong):
            self.close()
            raise TooLong from None
        except BaseException:  # stopped while waiting: the next request must not get this one's answer
            self.close()
            raise
        if failed:
            raise UserError(answer)
        return answer

    def close(self) -> None:
        """End the process; the next request starts another one."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = None

    def _start(self) -> None:
        if self._process is not None and self._owner == os.getpid() and self._process.is_alive():
            return
        self.close()
        kind = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(kind)
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(self._prepare, other, self._pipe if kind == "fork" else None, self._most_bytes),
            daemon=True,
        )
        self._owner = os.getpid()
        set_before = _QUIET in os.environ
        os.environ.setdefault(_QUIET, "false")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside torch's threads
                self._process.start()
        finally:
            if not set_before:
                del os.environ[_QUIET]
        other.close()
        if not self._pipe.poll(_START_SECONDS):
            raise TooLong
        failed, message = self._pipe.recv()
        if failed:
            self.close()
            raise UserError(message)


def _serve(
    prepare: Callable[[], Callable[[Any], Any]],
    pipe: Connection,
    others: Connection | None,
    most_bytes: int | None,
) -> None:
    """The process: says that it is ready, then answers until nobody asks."""
    if others is not None:
        others.close()  # else this process would not see that the other one has ended
    if most_bytes is not None:
        _limit_memory(most_bytes)
    try:
        serve = prepare()
        pipe.send((False, None))
        while True:
            request = pipe.recv()
            try:
                answer = False, serve(request)
            except Exception as error:
                answer = True, f"{type(error).__name__}: {error}"
            pipe.send(answer)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:
        pipe.send((True, f"{type(error).__name__}: {error}"))


def _limit_memory(most_bytes: int) -> None:
    """Let this process take so many bytes beyond what it has, where the system tells what it has."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    import resource  # not on every system

    now = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = now + most_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
