"""What several jobs of one call make alike, made once: each value by a digest of all that it depends on.

Inside `with shared_in(folder):` a part that says what it depends on (`Part.of`) is looked for in `folder` and
kept there, whichever job makes it first; so are the rows of steering sweeps (`SweepRows`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any

from undertext.core.output import json_bytes
from undertext.core.resume import read_part, write_part, writing


def digest_of(values: Mapping[str, Any]) -> str:
    """32 hex digits of plain values."""
    return sha256(json_bytes(values)).hexdigest()[:32]


class Shared:
    """A folder of values that several jobs need, one job at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str, of: Mapping[str, Any] | None) -> tuple[Any] | None:
        """What a part of this key made, of these inputs; None where no job has made it."""
        return read_part(self._path(key, of))

    def write(self, key: str, of: Mapping[str, Any] | None, value: Any) -> None:
        """Keep what a part made for other jobs."""
        with writing(self.folder):
            write_part(self._path(key, of), value)

    def _path(self, key: str, of: Mapping[str, Any] | None) -> Path:
        return self.folder / f"{digest_of({'key': key, 'of': of})}.part"


sharing: ContextVar[Shared | None] = ContextVar("sharing", default=None)
"""Where jobs keep what they have in common; None where each works by itself."""


@contextmanager
def shared_in(folder: Path) -> Iterator[None]:
    """The body with its jobs sharing work in `folder`."""
    token = sharing.set(Shared(folder))
    try:
        yield
    finally:
        sharing.reset(token)
