"""Parts of a job: made once, kept whole, and refused to another job."""

import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

import undertext.core.job
import undertext.core.resume
from tests.core.small_job import Config, Sum, job
from tests.killing import Step, forked, killed_at_step
from undertext.activations.errors import UserError
from undertext.core.job import JobRun, job_run
from undertext.core.result import NotSaved
from undertext.core.resume import Done, JobFolder, Part


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_parts_that_were_made_are_not_made_again(tmp_path):
    out = tmp_path / "out"
    made: list[str] = []
    with pytest.raises(RuntimeError, match="two"):
        job(out, made, fails=["two"])
    assert made == ["one/0", "one/1", "one/2", "two"]
    assert {"parts/one/0.part", "parts/one/2.part", "parts/job.json"} <= files(out)
    again: list[str] = []
    assert job(out, again).summary == {"total": 4.5}
    assert again == ["two"]
    assert files(out) == {"result.json", "run.json"}


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made: list[str] = []
    assert job(None, made).summary == job(None, made).summary
    assert len(made) == 8
    assert not files(tmp_path)


def test_what_only_changes_the_work_may_change(tmp_path):
    with pytest.raises(RuntimeError):
        job(tmp_path, fails=["two"], threads=1, batch_size=4)
    again: list[str] = []
    job(tmp_path, again, threads=2, batch_size=8)
    assert again == ["two"]


@pytest.mark.parametrize("changes", [{"seed": 4}, {"size": 2}])
def test_parts_of_another_config_are_refused_and_kept(tmp_path, changes):
    with pytest.raises(RuntimeError):
        job(tmp_path, fails=["two"])
    before = files(tmp_path)
    made: list[str] = []
    with pytest.raises(
        UserError, match=r"job of another config: config\.\w+ was \d, is \d\. .*delete"
    ) as error:
        job(tmp_path, made, **changes)
    assert "\n" not in str(error.value)
    assert (made, files(tmp_path)) == ([], before)


def test_a_damaged_part_is_named_and_made_again_once_deleted(tmp_path):
    with pytest.raises(RuntimeError):
        job(tmp_path, fails=["two"])
    part = tmp_path / "parts" / "one" / "1.part"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"1\.part cannot be read .*delete it"):
        job(tmp_path)
    part.unlink()
    again: list[str] = []
    assert job(tmp_path, again).summary == {"total": 4.5}
    assert again == ["one/1", "two"]


def test_parts_without_a_job_count_for_nothing(tmp_path):
    """A kill while a finished job's folder is removed leaves such parts."""
    with pytest.raises(RuntimeError):
        job(tmp_path, fails=["two"])
    (tmp_path / "parts" / "job.json").unlink()
    again: list[str] = []
    assert job(tmp_path, again, seed=9).summary == {"total": 4.5}
    assert len(again) == 4


def test_two_at_once_are_one_too_many(tmp_path):
    """The second is refused before it has read anything, whatever it is."""
    made: list[str] = []
    folder = JobFolder(tmp_path)
    with folder.open():
        with pytest.raises(UserError, match=r"job folder .*parts is being written by another writer"):
            job(tmp_path, made)
        folder.begin({"job": "other"})
        folder.finish()
    assert (made, files(tmp_path)) == ([], set())
    assert job(tmp_path).summary == {"total": 4.5}


def test_a_job_that_never_began_leaves_nothing(tmp_path):
    for out in (tmp_path / "deep" / "out", tmp_path):
        with job_run("sum", Config(), out, progress=False):
            assert (out / "parts" / "write.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_other_settings_is_refused_unless_it_may_be_overwritten(tmp_path):
    job(tmp_path)
    assert job(tmp_path, threads=1, batch_size=2).summary == {"total": 4.5}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    made: list[str] = []
    with pytest.raises(UserError, match=r"of other settings: config\.size was 3, is 2\. .*--overwrite"):
        job(tmp_path, made, size=2)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not made
    assert job(tmp_path, made, size=2, overwrite=True).summary == {"total": 2.0}
    with pytest.raises(RuntimeError):
        job(tmp_path, fails=["two"], size=2)
    with pytest.raises(UserError, match=r"config\.seed was 0, is 1"):
        job(tmp_path, size=2, seed=1)
    assert job(tmp_path, size=2, seed=1, overwrite=True).summary == {"total": 2.0}
    assert files(tmp_path) == {"result.json", "run.json"}


@pytest.mark.parametrize("name", ["result.json", "verdict.json", "report.html"])
def test_a_report_of_unknown_origin_is_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name} is there, without run.json"):
        job(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    assert files(tmp_path) == {name}
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"other settings: job was 'damaged"):
        job(tmp_path)


def test_a_result_that_cannot_be_saved_is_not_lost(tmp_path, monkeypatch):
    def full(*_: Any, **__: Any) -> None:
        raise UserError("cannot write: No space left on device")

    monkeypatch.setattr(undertext.core.job, "publish", full)
    with pytest.raises(NotSaved, match="No space left") as caught:
        job(tmp_path)
    assert (caught.value.result.summary, caught.value.result.at) == ({"total": 4.5}, None)
    monkeypatch.undo()
    again: list[str] = []
    assert job(tmp_path, again).at == tmp_path
    assert again == []


@pytest.mark.parametrize("limit", [40, 400, 1500])
def test_where_files_cannot_grow_a_job_ends_in_one_line(tmp_path, limit):
    """A limit on the size of files, in another process, stands for a full disk."""

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with job_run("sum", Config(), tmp_path / "out", progress=False) as run:
            run.begin()
            run.make([Part("a", lambda done: "x" * 600)])
            (tmp_path / "out" / "own").write_bytes(bytes(1000))  # as a library writes, in no part
            run.finish(Sum, {"total": "y" * 2000}, {})

    def ended() -> None:
        try:
            work()
        except UserError as error:
            os.write(told, str(error).encode())

    read, told = os.pipe()
    _, status = os.waitpid(forked(ended), 0)
    os.close(told)
    said = os.read(read, 10_000).decode()
    assert status == 0
    assert "cannot write" in said
    assert "File too large" in said
    assert "\n" not in said


@pytest.mark.parametrize("what", ["folder", "huge", "other", "empty"])
def test_a_part_that_is_none_is_named(tmp_path, what, monkeypatch):
    with pytest.raises(RuntimeError):
        job(tmp_path, fails=["two"])
    part = tmp_path / "parts" / "one" / "1.part"
    content = {"huge": part.read_bytes(), "other": b"{}", "empty": b""}.get(what)
    part.unlink()
    part.mkdir() if content is None else part.write_bytes(content)
    if what == "huge":
        monkeypatch.setattr(undertext.core.resume, "MOST_BYTES", 10)
    with pytest.raises(UserError, match=r"\d\.part cannot be read .*: delete it") as error:
        job(tmp_path)
    assert "\n" not in str(error.value)


def test_a_damaged_job_file_says_what_to_delete(tmp_path):
    with pytest.raises(RuntimeError):
        job(tmp_path, fails=["two"])
    (tmp_path / "parts" / "job.json").write_text("{")
    with pytest.raises(UserError, match=r"damaged .*delete .*parts") as error:
        job(tmp_path)
    assert "\n" not in str(error.value)
    assert job(tmp_path, overwrite=True).summary == {"total": 4.5}


def test_a_part_s_scratch_goes_when_the_part_is_whole(tmp_path):
    with job_run("sum", Config(), tmp_path, progress=False) as run:
        run.begin()
        scratch = run.scratch("a/b")
        assert scratch is not None

        def make(done: Done) -> int:
            scratch.mkdir(parents=True)
            (scratch / "rows").write_text("so far")
            return 1

        assert run.make([Part("a/b", make)]) == [1]
        assert not scratch.exists()
        assert run.make([Part("a/b", lambda done: 2)]) == [1]
    assert JobRun is type(run)


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("events", [0, 40])
def test_killed_anywhere_it_goes_on_and_leaves_nothing_behind(tmp_path, step, events):
    out = tmp_path / "out"

    def work(done: Step) -> None:
        replace = os.replace

        def replaced(source: Any, target: Any) -> None:
            replace(source, target)
            done()

        vars(os)["replace"] = replaced  # in the copy of this process alone
        job(out)
        for _ in range(9):  # a kill that is due later than the job's last file
            done()
        replace(tmp_path, tmp_path)

    killed_at_step(work, step, events=events)
    assert job(out).summary == {"total": 4.5}
    assert files(tmp_path) == {"out/result.json", "out/run.json"}
    assert not (out / "parts").exists()
