import errno
import json
import os
import signal
from pathlib import Path

import pytest

from undertext.activations.errors import UserError
from undertext.core.output import check_writable, publish

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


@pytest.mark.parametrize("listed", [b"", b"[]", b'{"files": 3}', b"{}", b"\xff"])
def test_an_unreadable_list_of_files_clears_nothing(tmp_path, contents, listed):
    out = tmp_path / "run"
    publish(OLD | {"run.json": listed}, out)
    publish(NEW, out)
    assert contents(out) == OLD | NEW


def test_verdict_comes_last(tmp_path, monkeypatch):
    out = tmp_path / "run"
    publish(OLD, out)
    moved = []
    replace = os.replace

    def noted(old: Path, new: Path) -> None:
        moved.append(new.name)
        replace(old, new)

    monkeypatch.setattr(os, "replace", noted)
    publish(NEW, out)
    assert len(moved) == len(NEW)
    assert moved[-2:] == ["run.json", "verdict.json"]


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_a_failure_while_writing_changes_nothing(tmp_path, contents, monkeypatch, error, exists):
    out = tmp_path / "run"
    if exists:
        publish(OLD, out)
    before = contents(tmp_path)
    write = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        if path.name == "run.json":
            write(path, data[:2])
            raise error
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    full = isinstance(error, OSError)
    wanted, message = (UserError, "cannot write to .*run: No space left") if full else (type(error), None)
    with pytest.raises(wanted, match=message):
        publish(NEW, out)
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["run"] if exists else [])


@pytest.mark.parametrize("survivors", range(4))
def test_an_error_while_moving_leaves_every_file_whole(tmp_path, contents, monkeypatch, survivors):
    out = tmp_path / "run"
    publish(OLD, out)
    left = survivors
    replace = os.replace

    def fail(old: Path, new: Path) -> None:
        nonlocal left
        if not left:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        left -= 1
        replace(old, new)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match="Operation not permitted"):
        publish(NEW, out)
    for name, data in contents(out).items():
        assert data in {OLD.get(name), NEW.get(name)}
    assert (out / "verdict.json").read_bytes() == b"old verdict"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


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
