import errno
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.killing import Step, forked, killed_at_step
from undertext.activations.errors import UserError
from undertext.activations.store import disk
from undertext.core import publish as module
from undertext.core.publish import check_writable, publish

OLD = {
    "report.html": b"old page",
    "figures/doses.svg": b"old doses",
    "tables/sweep.parquet": b"old sweep",
    "tables/problems.parquet": b"old problems",
    "run.json": json.dumps(
        {
            "files": [
                "figures/doses.svg",
                "tables/sweep.parquet",
                "tables/problems.parquet",
                "../outside",
                "notes.txt",
            ]
        }
    ).encode(),
    "verdict.json": b"old verdict",
}
NEW = {
    "verdict.json": b"new verdict",
    "report.html": b"new page",
    "tables/problems.parquet": b"new problems",
    "run.json": b'{"files": []}',
}


def test_a_new_folder_appears_by_one_rename_with_ordinary_permissions(tmp_path, contents, monkeypatch):
    renames = []
    rename = os.rename

    def noted(old: Path, new: Path) -> None:
        renames.append(new)
        rename(old, new)

    monkeypatch.setattr(os, "rename", noted)
    out = tmp_path / "deep" / "run"
    assert publish(NEW, out) == out
    assert contents(tmp_path) == {f"deep/run/{name}": data for name, data in NEW.items()}
    assert renames == [out]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert out.stat().st_mode == plain.stat().st_mode


def test_an_existing_run_is_replaced_and_files_of_others_stay(tmp_path, contents):
    out = tmp_path / "run"
    publish(OLD, out)
    others = {"notes.txt": b"mine", "figures/mine.svg": b"mine", "tables/mine.parquet": b"mine"}
    for name, data in others.items():
        (out / name).write_bytes(data)
    (tmp_path / "outside").write_bytes(b"mine")
    publish(NEW, out)
    assert contents(out) == NEW | others
    assert (tmp_path / "outside").read_bytes() == b"mine"


@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("listed", [b"", b"[]", b'{"files": 3}', b"{}", b"\xff"])
def test_an_unreadable_list_of_files_clears_nothing(tmp_path, contents, listed, swaps, monkeypatch):
    out = tmp_path / "run"
    if not swaps:
        by_hand(monkeypatch)
    publish(OLD | {"run.json": listed}, out)
    publish(NEW, out)
    assert contents(out) == OLD | NEW


def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the system has no exchange of two folders: each file is moved on its own."""

    monkeypatch.setattr(module, "_exchange", lacking)


def test_a_run_takes_the_place_of_another_in_one_step(tmp_path, contents, monkeypatch):
    out = tmp_path / "run"
    publish(OLD, out)
    (out / "sae" / "deep").mkdir(parents=True)
    (out / "sae" / "deep" / "weights").write_bytes(b"large")
    (out / "link").symlink_to("nothing")
    out.chmod(0o750)
    before, seen = contents(out), list[tuple[dict[str, bytes], dict[str, bytes]]]()
    exchange = module._exchange

    def noted(one: Path, other: Path) -> None:
        first = contents(other)
        exchange(one, other)
        seen.append((first, contents(other)))

    monkeypatch.setattr(module, "_exchange", noted)
    publish(NEW, out, drop=["parts"])
    assert seen == [(before, NEW | {"sae/deep/weights": b"large"})]
    assert contents(out) == seen[0][1]
    assert (out / "link").readlink() == Path("nothing")
    assert out.stat().st_mode & 0o777 == 0o750
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_a_run_drops_is_not_taken_over(tmp_path, contents):
    out = tmp_path / "run"
    publish(OLD | {"parts/one.part": b"part"}, out)
    publish(NEW, out, drop=["parts"])
    assert contents(out) == NEW


@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_rename_one_run_is_there_whole_or_none(tmp_path, contents, monkeypatch, step, swaps):
    """Renames and removals are the steps; a kill comes right after one."""
    out = tmp_path / "run"
    publish(OLD, out)
    before = contents(out)

    def work(done: Step) -> None:
        for name in ("replace", "unlink", "rename"):
            vars(os)[name] = stepping(vars(os)[name], done)
        vars(module)["_exchange"] = stepping(module._exchange if swaps else lacking, done)
        publish(NEW, out)
        while True:
            done()

    killed_at_step(work, step)
    found = contents(out)
    if swaps or "verdict.json" in found:
        assert found in (before, NEW)
    else:  # none, and no page beside a list of another run's files
        left = [found.get(name) for name in ("report.html", "run.json")]
        assert any({*left} <= {None, run["report.html"], run["run.json"]} for run in (OLD, NEW))
    publish(NEW, out)
    assert contents(tmp_path) == {f"run/{name}": data for name, data in NEW.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def stepping(whole: Callable[..., Any], done: Step) -> Callable[..., Any]:
    def stepped(*args: Any, **options: Any) -> Any:
        value = whole(*args, **options)
        done()
        return value

    return stepped


def lacking(one: Path, other: Path) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_a_folder_that_somebody_stands_in_stays_the_same_folder(tmp_path, contents, monkeypatch):
    out = tmp_path / "run"
    publish(OLD, out)
    (out / "below").mkdir()
    monkeypatch.chdir(out / "below")
    inode = out.stat().st_ino
    publish(NEW, out)
    assert out.stat().st_ino == inode
    assert contents(out) == NEW
    publish(OLD, Path(".."))
    assert contents(out) == OLD


def test_without_an_exchange_the_verdict_goes_first_and_comes_last(tmp_path, contents, monkeypatch):
    out = tmp_path / "run"
    publish(OLD, out)
    (out / "notes.txt").write_bytes(b"mine")
    moved = list[str]()
    replace, unlink = os.replace, os.unlink

    def noted(old: Path, new: Path) -> None:
        if Path(new).is_relative_to(out):
            moved.append(new.name)
        replace(old, new)

    def removed(path: Path, **options: Any) -> None:
        if Path(path).is_relative_to(out):
            moved.append(f"-{Path(path).name}")
        unlink(path, **options)

    by_hand(monkeypatch)
    monkeypatch.setattr(os, "replace", noted)
    monkeypatch.setattr(os, "unlink", removed)
    publish(NEW, out)
    assert moved[0] == "-verdict.json"
    assert moved[-2:] == ["run.json", "verdict.json"]
    assert contents(out) == NEW | {"notes.txt": b"mine"}


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_a_failure_while_writing_changes_nothing(tmp_path, contents, monkeypatch, error, exists):
    out = tmp_path / "run"
    if exists:
        publish(OLD, out)
    before = contents(tmp_path)
    write = disk._write_synced

    def fail(file: Any, pieces: Any) -> Any:
        if file.name.endswith("run.json.tmp"):
            file.write(b"{")
            raise error
        return write(file, pieces)

    monkeypatch.setattr(disk, "_write_synced", fail)
    full = isinstance(error, OSError)
    wanted, message = (UserError, "cannot write to .*run: No space left") if full else (type(error), None)
    with pytest.raises(wanted, match=message):
        publish(NEW, out)
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["run"] if exists else [])


@pytest.mark.parametrize("exists", [True, False])
def test_an_interrupt_waits_until_all_is_in_place(tmp_path, contents, monkeypatch, exists):
    out = tmp_path / "run"
    if exists:
        publish(OLD, out)
    name = "replace" if exists else "rename"
    move = getattr(os, name)

    def interrupted(old: Path, new: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        move(old, new)

    monkeypatch.setattr(os, name, interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        publish(NEW, out)
    assert contents(tmp_path) == {f"run/{name}": data for name, data in NEW.items()}
    assert signal.getsignal(signal.SIGINT) is before


def test_folders_that_a_kill_has_left_are_cleared_by_the_next_run(tmp_path):
    out = tmp_path / "run"
    publish(OLD, out)
    ended = forked(lambda: None)
    os.waitpid(ended, 0)
    host = socket.gethostname()
    left = [f".undertext-{host}-{ended}-a", f".undertext-{host}-{os.getpid()}-b", ".undertext-other-1-c"]
    for folder in (tmp_path, out):
        for name in (*left, ".undertext-other-1-d"):
            (folder / name).mkdir()
        os.utime(folder / ".undertext-other-1-d", (0, 0))
    check_writable(out)
    for folder in (tmp_path, out):
        assert {path.name for path in folder.glob(".undertext-*")} == set(left[1:])


def test_a_disk_without_room_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 << 20))
    with pytest.raises(UserError, match=r"32 MiB or more free on the disk of .*run, got 5\.0 MiB"):
        check_writable(tmp_path / "run")
    check_writable(tmp_path / "run", 5 << 20)
    assert not list(tmp_path.iterdir())


def test_what_can_be_written_is_left_as_it_was(tmp_path, contents, monkeypatch):
    monkeypatch.chdir(tmp_path)
    publish(OLD, tmp_path / "run")
    for out in (Path("run"), Path(), Path("new"), Path("new/deeper"), tmp_path / "run" / ".." / "other"):
        check_writable(out)
    assert contents(tmp_path) == {f"run/{name}": data for name, data in OLD.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "tables").write_bytes(b"mine")
    (tmp_path / "full" / "verdict.json").mkdir(parents=True)
    cases = {
        tmp_path / "file": "a file$",
        tmp_path / "file" / "below": "below .*file, a file$",
        tmp_path / "link": "a link to nothing$",
        tmp_path / "taken": "tables to be a folder",
        tmp_path / "full": r"verdict\.json to be a file",
        tmp_path / ("x" * 300): "cannot write to .*name too long",
        Path("/proc/x"): "cannot write to /proc/x",
    }
    for out, message in cases.items():
        for attempt in (check_writable, lambda out: publish(NEW, out)):
            with pytest.raises(UserError, match=message) as caught:
                attempt(out)
            assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "link", "taken"]
