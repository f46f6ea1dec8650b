"""The Ray cluster that a job runs on: connected to, looked at, left."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from undertext.activations.errors import UserError, install, shown
from undertext.activations.files import one_line

SENT = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "TOKENIZERS_PARALLELISM",
)
"""Environment variables that processes of the cluster have as this one has them: figures depend on the number
of threads in their last bits, and who is offline here is offline there."""
LOCAL = "local"
ANSWERS_IN = 10.0
"""Seconds that a head has to take a connection; Ray itself tries for minutes."""
_START = "start one with `ray start --head`, and give its address (--address HOST:6379)"
_TOKEN = (
    "something answers there, and may ask for a token: set RAY_AUTH_MODE=token here, and on another machine "
    "than its head's RAY_AUTH_TOKEN to the one it was started with (`ray get-auth-token` prints it there)"
)
"""Ray takes no token of its own accord where an address is given, and does not say that one was missing."""


def ray() -> Any:
    """Ray. UserError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read as a cluster starts: nothing is reported
    try:
        import ray as module
    except ImportError as error:
        raise UserError(f"engine ray needs Ray: {install('ray')}") from error
    return module


@contextmanager
def connected(address: str | None) -> Iterator[str]:
    """The body connected to a cluster; a process that is connected already stays so. Yields the address.

    UserError where there is no cluster there, or one that this process cannot belong to.
    """
    module = ray()
    if module.is_initialized():
        yield address or "the cluster"
        return
    if address not in (None, LOCAL):
        _check_answers(str(address))
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    sent = {name: os.environ[name] for name in SENT if name in os.environ}
    with _own_signals():
        try:
            module.init(
                address=address or "auto",
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": sent},
                **options,
            )
        except (Exception, SystemExit) as error:
            at = "of this machine" if address is None else f"at {shown(address)}"
            todo = _START if address in (None, LOCAL) else _TOKEN
            raise UserError(f"no Ray cluster {at} ({one_line(error)}): {todo}") from error
    try:
        yield address or "the cluster"
    finally:
        module.shutdown()


def check_room(address: str, cpus: int, gpus: int) -> None:
    """UserError where no machine of the cluster has as many CPUs and GPUs as a part takes."""
    alive = [node["Resources"] for node in ray().nodes() if node["Alive"]]
    if any(each.get("CPU", 0) >= cpus and each.get("GPU", 0) >= gpus for each in alive):
        return
    has = "; ".join(f"{each.get('CPU', 0):g} CPUs, {each.get('GPU', 0):g} GPUs" for each in alive[:8])
    raise UserError(
        f"a part takes {cpus} CPUs (--threads) and {gpus} GPUs (--gpus) of one machine, and none at "
        f"{shown(address)} has them; there are: {has or 'none'}"
    )


def _check_answers(address: str) -> None:
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"expected HOST:PORT of a Ray cluster's head, or local, got {shown(repr(address))}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_IN).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster at {shown(address)} ({error.strerror or one_line(error)}): {_START}"
        ) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """The body with what this process does on signals left as it is: Ray would end it without tidying."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
