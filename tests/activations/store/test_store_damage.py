"""What may befall a store: flipped bytes, missing shards, a full disk, two writers."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.activations.store.made_rows import POINTS, WIDTH, fill, same
from tests.killing import forked
from undertext.activations import UserError
from undertext.activations.store import Store, StoreWriter

UNITS = 100


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_every_flipped_byte_is_found(tmp_path: Path):
    store = fill(tmp_path, 4)
    shard = tmp_path / store.manifest.shards[1].file
    size = shard.stat().st_size
    for place in [*range(0, size, 37), size - 1]:
        flip(shard, place)
        with pytest.raises(UserError, match=r"is damaged: the bytes of shard-00001.safetensors have changed"):
            store.verify()
        flip(shard, place)
    store.verify()


def test_a_flipped_byte_in_a_header_is_found_on_reading(tmp_path: Path):
    fill(tmp_path, 4)
    flip(tmp_path / "shard-00001.safetensors", 3)
    with pytest.raises(UserError, match=r"shard .*shard-00001.safetensors is missing or damaged"):
        Store.open(tmp_path).read()


def test_every_flipped_byte_of_the_manifest_is_found(tmp_path: Path):
    fill(tmp_path, 4)
    manifest = tmp_path / "manifest.json"
    text = manifest.read_bytes()
    for place, byte in enumerate(text):
        flip(manifest, place)
        if chr(byte).isspace() and chr(byte ^ 1).isspace():
            continue
        with pytest.raises(UserError, match=r"manifest\.json"):
            Store.open(tmp_path)
        manifest.write_bytes(text)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, 100)])
def test_missing_and_truncated_shards_are_named(tmp_path: Path, harm: Any):
    store = fill(tmp_path, 8)
    harm(tmp_path / "shard-00002.safetensors")
    for use in (lambda: Store.open(tmp_path), store.verify, lambda: fill(tmp_path, 9)):
        with pytest.raises(
            UserError, match=r"is damaged: shard-00002.safetensors (is missing|has 100 bytes)"
        ):
            use()


def test_shards_without_their_manifest_are_not_written_over(tmp_path: Path):
    whole = fill(tmp_path, 8)
    kept = (tmp_path / "manifest.json").read_bytes()
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"holds shard-00000.safetensors but no manifest.json"):
        fill(tmp_path, 8)
    (tmp_path / "manifest.json").write_bytes(kept)
    assert same(fill(tmp_path, 8), whole)


def test_an_older_manifest_does_not_cost_the_newer_shards(tmp_path: Path):
    fill(tmp_path, 4)
    old = (tmp_path / "manifest.json").read_bytes()
    fill(tmp_path, 12)
    (tmp_path / "manifest.json").write_bytes(old)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UserError, match=r"which its manifest.json does not list: move it away"):
        fill(tmp_path, 12)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_second_writer_is_refused_and_harms_nothing(tmp_path: Path):
    with StoreWriter(tmp_path, POINTS, WIDTH) as writer:
        with pytest.raises(UserError, match="is being written by another writer"):
            fill(tmp_path, 2)

        def second() -> None:
            with pytest.raises(UserError, match="is being written by another writer"):
                fill(tmp_path, 2)

        _, status = os.waitpid(forked(second), 0)
        assert os.WEXITSTATUS(status) == 0
        assert writer.done == set()
    assert len(fill(tmp_path, 2)) == 3


def check_full_disk(folder: Path, fill_up: Callable[[], object], make_room: Callable[[], object]) -> None:
    """Write until the disk is full: what was stored before is sound, and with room again all is completed."""
    fill(folder, 8)
    fill_up()
    with pytest.raises(UserError, match=r"No space left on device\. What it held before is kept") as caught:
        fill(folder, UNITS, shard_rows=100)
    assert "\n" not in str(caught.value)
    assert not list(folder.glob("*.tmp"))
    held = Store.open(folder)
    held.verify()
    assert list(dict.fromkeys(held.rows["problem"])) == [f"p{number}" for number in range(8)]
    make_room()
    assert same(fill(folder, UNITS, shard_rows=100), fill(folder.parent / "whole", UNITS))


def test_a_disk_that_says_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Some file systems do not know before the sync."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 8000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    check_full_disk(tmp_path / "store", lambda: monkeypatch.setattr(os, "fsync", fsync), monkeypatch.undo)


def test_a_write_that_fails_behind_an_early_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The system tells of it once, to whoever syncs first: that must not be forgotten at the last sync."""
    before = fill(tmp_path, 8)
    real, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr("undertext.activations.store.disk.EARLY", 100)
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(UserError, match=r"cannot write shard-\d+.safetensors: Input/output error"):
            fill(tmp_path, 20, shard_rows=100)
    assert same(Store.open(tmp_path), before)
    assert not list(tmp_path.glob("*.tmp"))
    assert same(fill(tmp_path, 20), fill(tmp_path.with_name("whole"), 20))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB where we may mount one (root may); a plain folder where we may not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
    )
    yield disk
    if mounted.returncode == 0:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_full(small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    ballast = small_disk / "ballast"
    real = Path.open

    def fill_up() -> None:
        if os.path.ismount(small_disk):
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            assert os.statvfs(small_disk).f_bavail == 0
        else:  # writing to the kernel's own device that is always full

            def refused(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
                return real(Path("/dev/full") if "w" in mode else path, mode, *rest, **named)

            monkeypatch.setattr(Path, "open", refused)

    def make_room() -> None:
        monkeypatch.undo()
        ballast.unlink(missing_ok=True)

    check_full_disk(small_disk / "store", fill_up, make_room)


def test_what_ended_the_block_is_raised_and_whole_units_are_kept(tmp_path: Path):
    def broken() -> None:
        with StoreWriter(tmp_path, POINTS, WIDTH) as writer:
            writer.append(torch.zeros(3, 2, WIDTH), {"problem": ["a", "b"]})
            raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        broken()
    assert Store.open(tmp_path).rows["problem"].tolist() == ["a", "b"]
