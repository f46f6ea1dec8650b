"""Parts in processes of this machine: what each makes, where it is kept, and what its errors say."""

import os
import signal
from functools import partial
from typing import Any

import pytest

from undertext.activations import UserError
from undertext.core.config import Config
from undertext.core.job import job_run
from undertext.core.processes import Processes
from undertext.core.progress import Progress
from undertext.core.resume import Done, Part
from undertext.core.stored import Stored


class Jobs(Config):
    """A config that says how many processes."""

    jobs: int


def squares(upto: int, done: Done) -> dict[str, Any]:
    done(upto)
    return {"squares": [each**2 for each in range(upto)], "process": os.getpid()}


def mistaken(_done: Done) -> None:
    raise UserError("expected a number, got a letter")


def killed(_done: Done) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("jobs", [1, 2])
def test_parts_are_made_kept_and_not_made_again(jobs, tmp_path):
    upto = (3, 0, 5)
    with job_run("made up", Jobs(jobs=jobs), tmp_path / "out", False) as run:
        run.begin()
        made = run.make([Part(f"squares/{n}", partial(squares, n)) for n in upto])
        with pytest.raises(UserError, match=r"^expected a number, got a letter$"):
            run.make([Part("mistaken", mistaken), Part("squares/6", partial(squares, 6))])
        assert run.make([Part("squares/5", mistaken), Part("squares/3", mistaken)]) == [made[2], made[0]]
    assert [each["squares"] for each in made] == [[0, 1, 4], [], [0, 1, 4, 9, 16]]
    assert (os.getpid() in {each["process"] for each in made}) == (jobs == 1)


def test_a_process_that_is_killed_is_said_and_not_waited_for(tmp_path):
    parts = [Part("killed", killed), Part("squares/2", partial(squares, 2))]
    with job_run("made up", Jobs(jobs=2), tmp_path / "out", False) as run:
        run.begin()
        with pytest.raises(UserError, match=r"a process that worked on a part was killed \(exit code -9"):
            run.make(parts)
        assert run.make([Part("squares/2", partial(squares, 2))])[0]["squares"] == [0, 1]


def test_what_is_in_a_store_is_put_there(tmp_path):
    store = Stored(f"file://{tmp_path}", "job")
    found = {}
    Processes(1).make(
        [Part("a/b", partial(squares, 2))],
        store,
        lambda part, value: found.update({part.key: value}),
        Progress(),
    )
    assert found["a/b"]["squares"] == [0, 1]
    assert store.read("a/b") == (found["a/b"],)
