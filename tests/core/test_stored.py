"""Parts and results in a store: kept, found again, and refused where they cannot be."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

from tests.reading_task import made_task
from tests.toys import tiny_folder
from undertext import TraceConfig, TraceResult, read_trace
from undertext.activations import UserError
from undertext.core.config import PartsConfig
from undertext.core.job import job_run
from undertext.core.resume import Done, Part
from undertext.core.stored import Stored


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/a store"
    fsspec.filesystem("memory").store.clear()


def counted(calls: list[str], name: str, _done: Done) -> Any:
    calls.append(name)
    return {name: torch.arange(3)}


def test_what_a_part_made_is_found_again_by_the_same_job_alone(url, tmp_path):
    calls: list[str] = []
    part = Part("some/key", partial(counted, calls, "a"))

    def run(seed: int, out: Path | None = None) -> Any:
        with job_run("made up", PartsConfig(store=url, seed=seed), out, False) as job:
            job.begin()
            return job.make([part])[0]

    first, again, other = run(0), run(0, tmp_path / "out"), run(1)
    assert calls == ["a", "a"]
    assert all(torch.equal(each["a"], torch.arange(3)) for each in (first, again, other))
    assert not list((tmp_path / "out").rglob("*.part"))  # kept once


def test_a_damaged_part_and_what_is_no_store_are_named(tmp_path):
    stored = Stored(f"file://{tmp_path}", "job")
    assert stored.read("key") is None
    stored.write("key", [1, 2])
    assert stored.read("key") == ([1, 2],)
    (part,) = tmp_path.rglob("*.part")
    part.write_bytes(part.read_bytes()[:20])
    with pytest.raises(
        UserError, match=r"job/parts/key\.part cannot be read .*delete it, and it is made again"
    ):
        stored.read("key")
    with pytest.raises(UserError, match="the store nowhere://x cannot be opened"):
        Stored("nowhere://x", "job")
    (tmp_path / "a file").write_text("")
    with pytest.raises(UserError, match="cannot write to the store"):
        Stored(f"file://{tmp_path}/a file", "job").check_writable()


def test_results_are_written_to_the_store_and_read_from_there(url, tmp_path):
    folder = str(tiny_folder(tmp_path / "model"))
    config: dict[str, Any] = {"layers": (0, 2), "readers": ("logit_lens",), "problems": 4, "threads": 1}
    whole = read_trace(folder, made_task(), config=TraceConfig(**config), progress=False)
    read_trace(folder, made_task(), config=TraceConfig(**config, store=url), progress=False)
    files, root = fsspec.core.url_to_fs(url)
    (there,) = files.ls(root, detail=False)
    files.get(there, str(tmp_path / "copied"), recursive=True)
    found = TraceResult.load(tmp_path / "copied")
    assert found.summary == whole.summary
    assert found.table("readings").equals(whole.table("readings"))
    assert not [name for name in files.find(there) if "/parts/" in name or "/." in name]
