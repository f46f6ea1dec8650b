"""Parts on a Ray cluster of two nodes, each of processes of its own: what each makes, where it is kept, what
its errors say, and a node that is killed."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

from tests.ray_nodes import Doom, Nodes, connected_nodes
from undertext.activations import UserError
from undertext.core.config import PartsConfig
from undertext.core.job import job_run
from undertext.core.resume import Done, Part

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with connected_nodes(2) as started:
        yield started


def squares(upto: int, done: Done) -> dict[str, Any]:
    done(upto)
    return {"squares": torch.arange(upto) ** 2, "threads": torch.get_num_threads(), "process": os.getpid()}


def summed(values: dict[str, Any], _done: Done) -> int:
    return int(values["squares"].sum())


def broken(_done: Done) -> None:
    raise ZeroDivisionError("no such quotient")


def mistaken(_done: Done) -> None:
    raise UserError("expected a number, got a letter")


def on(cluster: Nodes, **settings: Any) -> PartsConfig:
    return PartsConfig(engine="ray", address=cluster.address, **settings)


def test_parts_are_made_elsewhere_one_from_another_and_a_node_may_be_killed(cluster, tmp_path):
    doom = Doom(tmp_path)
    with job_run("made up", on(cluster), tmp_path / "out", False) as run:
        run.begin()
        killing = doom.await_with(cluster.kill)
        parts = [Part(f"squares/{n}", partial(squares, n)) for n in (3, 4, 5)]
        made = run.make([doom.over(part) for part in parts])
        killing.join()
        sums = run.make(
            [Part(f"sum/{n}", partial(summed, each)) for n, each in zip("abc", made, strict=True)]
        )
        assert doom.came
        kept = sorted(path.name for path in (tmp_path / "out" / "parts").rglob("*.part"))
    assert [each["squares"].tolist() for each in made] == [[0, 1, 4], [0, 1, 4, 9], [0, 1, 4, 9, 16]]
    assert {each["threads"] for each in made} == {torch.get_num_threads()}
    assert os.getpid() not in {each["process"] for each in made}
    assert sums == [5, 14, 30]
    assert kept == ["3.part", "4.part", "5.part", "a.part", "b.part", "c.part"]
    cluster.add()


def test_an_error_is_the_part_s_own_and_what_was_finished_is_kept(cluster, tmp_path):
    out = tmp_path / "out"
    with job_run("made up", on(cluster), out, False) as run:
        run.begin()
        run.make([Part("sum", partial(summed, {"squares": torch.ones(2)}))])
        with pytest.raises(ZeroDivisionError, match="no such quotient") as raised:
            run.make([Part("broken", broken)])
    assert "Raised by the part broken on" in raised.value.__notes__[0]
    with job_run("made up", on(cluster), out, False) as run:
        run.begin()
        assert run.make([Part("sum", broken)]) == [2]  # read, not made
        with pytest.raises(UserError, match=r"^expected a number, got a letter$"):
            run.make([Part("mistaken", mistaken)])


def test_a_part_is_given_a_machine_that_has_what_it_takes(cluster, tmp_path):
    wide = Part("wide", partial(squares, 2), gpus=1)
    with job_run("made up", on(cluster), tmp_path / "out", False) as run:
        run.begin()
        with pytest.raises(UserError, match=r"takes 1 CPUs .* and 1 GPUs .* there are: .*1 CPUs, 0 GPUs"):
            run.make([wide])
        cluster.add(num_gpus=1)
        (made,) = run.make([wide])
    assert made["squares"].tolist() == [0, 1]


def test_parts_in_a_store_that_all_reach_and_one_that_they_do_not(cluster, tmp_path):
    url = f"file://{tmp_path}/store"
    with job_run("made up", on(cluster, store=url), None, False) as run:
        run.begin()
        assert run.make([Part("sum/a", partial(summed, {"squares": torch.ones(3)}))]) == [3]
    with job_run("made up", PartsConfig(store=url), None, False) as run:  # goes on in one process
        run.begin()
        assert run.make([Part("sum/a", broken)]) == [3]
    with job_run("made up", on(cluster, store="memory://runs"), None, False) as run:
        run.begin()
        with pytest.raises(UserError, match="the memory of one process, and engine ray has several"):
            run.make([Part("sum/a", broken)])
