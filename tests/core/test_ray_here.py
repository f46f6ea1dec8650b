"""Parts on a Ray of this machine that lasts as long as the job: what CI runs of Ray."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.ray_nodes import children, started
from undertext.activations import UserError
from undertext.core.config import PartsConfig
from undertext.core.job import job_run
from undertext.core.resume import Done, Part

pytestmark = pytest.mark.slow  # Ray's own start is most of it; `make test-ray`, a part of CI, runs this one


def squares(upto: int, done: Done) -> dict[str, Any]:
    done(upto)
    return {"squares": [each**2 for each in range(upto)], "process": os.getpid()}


def mistaken(_done: Done) -> None:
    raise UserError("expected a number, got a letter")


def test_parts_are_made_in_other_processes_and_nothing_is_left_of_ray(tmp_path: Path):
    before = children()
    config = PartsConfig(engine="ray", address="local", threads=1)

    def work() -> list[dict[str, Any]]:
        with job_run("made up", config, tmp_path / "out", False) as run:
            run.begin()
            made = run.make([Part(f"squares/{n}", partial(squares, n)) for n in (3, 4)])
            with pytest.raises(UserError, match=r"^expected a number, got a letter$"):
                run.make([Part("mistaken", mistaken)])
            assert sorted(path.name for path in (tmp_path / "out").rglob("*.part")) == ["3.part", "4.part"]
            return made

    made = started(work)
    assert [each["squares"] for each in made] == [[0, 1, 4], [0, 1, 4, 9]]
    assert os.getpid() not in {each["process"] for each in made}
    assert children() - before == set()
