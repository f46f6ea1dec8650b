"""Finished parts and results in any location that fsspec can write, so that several machines reach them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line
from undertext.core.output import LAST, RESULT, VERDICT
from undertext.core.packing import pack, unpack

PARTS = "parts"
IN_ONE_PROCESS = ("memory",)
"""Protocols of which every process has its own."""


class Stored:
    """The folder of one job in a store: its parts while it runs, its results once it is finished.

    The folder's name has a digest of the job in it, so that no other job is ever found there.
    """

    def __init__(self, url: str, name: str) -> None:
        """UserError where fsspec cannot reach `url`, or a package that it needs is not installed."""
        self.store, self.name = url, name
        try:
            self._files, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UserError(f"the store {shown(url)} cannot be opened: {one_line(error)}") from error
        self._folder = f"{root.rstrip('/')}/{name}"

    @property
    def url(self) -> str:
        """Where the results are."""
        return f"{self.store.rstrip('/')}/{self.name}"

    @property
    def in_one_process(self) -> bool:
        """Whether no other process finds what this one writes."""
        protocol = self._files.protocol
        names = (protocol,) if isinstance(protocol, str) else protocol
        return any(name in IN_ONE_PROCESS for name in names)

    def check_writable(self) -> None:
        """UserError where nothing can be written there; leaves nothing behind."""
        path = f"{self._folder}/{uuid4().hex}.try"
        with self._reached("cannot write to"):
            self._files.makedirs(self._folder, exist_ok=True)
            self._files.pipe_file(path, b"")
            self._files.rm_file(path)

    def read(self, key: str) -> tuple[Any] | None:
        """What a finished part made, None while it is not finished; UserError where its file is damaged."""
        with self._reached("cannot read from"):
            try:
                data = self._files.cat_file(self._path(key))
            except FileNotFoundError:
                return None
        try:
            return (unpack(data),)
        except ValueError as error:
            raise UserError(
                f"{shown(f'{self.url}/{PARTS}/{key}.part')} cannot be read ({one_line(error)}): delete it, "
                "and it is made again"
            ) from error

    def write(self, key: str, value: Any) -> None:
        """Keep what a part made, whole or not at all."""
        self._put(self._path(key), pack(value))

    def holds_result(self) -> bool:
        """Whether the job's result is there, and so all its files."""
        found = False
        with self._reached("cannot read from"):
            found = any(self._files.exists(f"{self._folder}/{name}") for name in (RESULT, VERDICT))
        return found

    def publish(self, files: Mapping[str, bytes]) -> None:
        """Put a run's files there, the result itself last; then the parts have served and are removed."""
        for name in sorted(files, key=lambda name: LAST.index(name) if name in LAST else -1):
            self._put(f"{self._folder}/{name}", files[name])
        with self._reached("cannot write to"):
            if self._files.exists(f"{self._folder}/{PARTS}"):
                self._files.rm(f"{self._folder}/{PARTS}", recursive=True)

    def _put(self, path: str, data: bytes) -> None:
        """A file under its final name only once it is whole. A part that was given up for lost may still be
        written by its machine: the names on the way differ."""
        above, _, name = path.rpartition("/")
        whole = f"{above}/.{name}-{uuid4().hex}"
        with self._reached("cannot write to"):
            self._files.makedirs(above, exist_ok=True)
            self._files.pipe_file(whole, data)
            self._files.mv(whole, path)

    def _path(self, key: str) -> str:
        return f"{self._folder}/{PARTS}/{key}.part"

    @contextmanager
    def _reached(self, cannot: str) -> Iterator[AbstractFileSystem]:
        """Turn what a file system says into a UserError; FileNotFoundError is for the caller."""
        try:
            yield self._files
        except FileNotFoundError:
            raise
        except Exception as error:  # each file system raises types of its own
            raise UserError(f"{cannot} the store {shown(self.store)}: {one_line(error)}") from error
