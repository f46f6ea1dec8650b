"""A Ray cluster of several nodes on this machine, each of real processes, of which one can be killed."""

import logging
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from undertext.core.resume import Done, Part

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
STORE = 80 * 2**20
"""Bytes of a node's object store: about the least that Ray takes."""


def children() -> set[psutil.Process]:
    """Every process that this one has started, and those that they have."""
    return set(psutil.Process().children(recursive=True))


def end(processes: set[psutil.Process]) -> None:
    """Kill processes, and wait until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(processes))


def started(start: Callable[[], Any]) -> Any:
    """What `start` gives. Ray takes a node for failed that is not up in 30 seconds: on a busy machine it is
    started again."""
    for tries_left in range(4, -1, -1):
        before = children()
        try:
            return start()
        except Exception as error:  # Ray raises no type of its own for this
            end(children() - before)
            if not tries_left or "timed out" not in str(error):
                raise
    raise AssertionError("a try was left")


class Nodes:
    """A head without CPUs, and nodes of one CPU each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self._cluster = started(lambda: Cluster(initialize_head=True, head_node_args=head))

    @property
    def address(self) -> str:
        """Of the head, as `--address` takes it."""
        return str(self._cluster.address)

    def add(self, **resources: Any) -> None:
        """One node more."""
        options = {"num_cpus": 1, "object_store_memory": STORE, **resources}
        started(lambda: self._cluster.add_node(**options))

    def kill(self, node: str, process: int) -> None:
        """Kill the node of this id, and the process on it that was running a part: SIGKILL to both."""
        with suppress(psutil.NoSuchProcess):
            psutil.Process(process).kill()
        for each in [each for each in self._cluster.worker_nodes if each.node_id == node]:
            self._cluster.remove_node(each, allow_graceful=False)

    def close(self) -> None:
        """End every process of the cluster."""
        self._cluster.shutdown()


@contextmanager
def nodes(count: int) -> Iterator[Nodes]:
    """A cluster of so many nodes beside the head; none of its processes is left afterwards."""
    before, cluster = children(), None
    try:
        cluster = Nodes()
        for _ in range(count):
            cluster.add()
        yield cluster
    finally:
        if cluster is not None:
            cluster.close()
        end(children() - before)


@contextmanager
def connected_nodes(count: int) -> Iterator[Nodes]:
    """`nodes`, with one connection for as long as they live, so that their processes load libraries once."""
    import ray

    with nodes(count) as started_nodes:
        ray.init(address=started_nodes.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield started_nodes
        finally:
            ray.shutdown()


class Doom:
    """The first part that comes to it, wherever it runs, says on which node, and waits to be killed."""

    def __init__(self, folder: Path) -> None:
        self._pipe, self._said = folder / "doomed", folder / "said"
        os.mkfifo(self._pipe)

    def over(self, part: Part) -> Part:
        """A part that does what `part` does, unless it is the first to be run."""
        make, pipe, said = part.make, str(self._pipe), str(self._said)

        def doomed(done: Done) -> Any:
            try:
                os.close(os.open(said, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return make(done)
            import ray

            with open(pipe, "w") as to:
                to.write(f"{ray.get_runtime_context().get_node_id()} {os.getpid()}")
            signal.pause()

        return part._replace(make=doomed)

    def await_with(self, kill: Callable[[str, int], None]) -> threading.Thread:
        """Call `kill` with the node and the process of the doomed part, once it is running."""

        def wait() -> None:
            node, process = self._pipe.read_text().split()
            kill(node, int(process))

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread

    @property
    def came(self) -> bool:
        """Whether a part was doomed."""
        return self._said.exists() and stat.S_ISFIFO(self._pipe.stat().st_mode)
