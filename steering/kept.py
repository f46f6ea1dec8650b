"""Rows of a sweep kept in a folder as they come, so that one that was killed goes on where it was."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.errors import UserError
from undertext.activations.files import one_line, read_json
from undertext.activations.store.disk import LOCK, lock_folder, replace_file

HEAD, PARTS = "sweep.json", "rows-*.jsonl"
LEFT = (LOCK, f"{HEAD}.tmp")
"""What a kill before the head is whole can leave."""
FORMAT = {"format": "undertext sweep", "version": 2}


class Key(NamedTuple):
    """Which row: indices of its setting and its prompt."""

    setting: int
    prompt: int


class Row(NamedTuple):
    """What was written under one setting from one prompt."""

    text: str
    touched: int
    """At how many tokens, prompt and generated, it was steered."""
    written: int
    """Of how many whole tokens the text is."""
    steered: int
    """How many generated tokens were chosen in a pass that was steered, and"""
    produced: int
    """of how many, those that ended the text among them."""


class Kept:
    """The rows in a folder: a head that says of which sweep they are, and parts that are written whole.

    A part is lines of JSON, `{"setting": i, "prompt": j, ...}` with the fields of `Row`; `i` is an index into
    the settings of the head.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], settings: Sequence[Any]) -> None:
        """Open or begin a folder.

        `identity` is what rows hang on: a folder in which any of it differs is refused with a UserError
        naming it, and so is one that holds something else or is damaged.
        """
        self.folder = folder
        self.rows: dict[Key, Row] = {}
        self._parts = 0
        head = {**FORMAT, **identity, "settings": list(settings)}
        whole = json.loads(json.dumps(head))  # as it will be read
        if (folder / HEAD).is_file():
            self._check(whole)
            self._read()
        elif folder.exists() and any(each.name not in LEFT for each in folder.iterdir()):
            raise UserError(f"{folder} holds no sweep ({HEAD}) and is not empty: choose another folder")
        else:
            with _writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                replace_file(folder / HEAD, [json.dumps(whole, indent=1).encode() + b"\n"])

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, nobody else may write into the folder; UserError when another does."""
        with _writing(self.folder):
            lock = lock_folder(self.folder)
        with lock:
            self._read()  # what another has written since
            yield

    def add(self, rows: Mapping[Key, Row]) -> None:
        """Keep more rows, all of them or, when killed, none."""
        lines = [json.dumps({**key._asdict(), **row._asdict()}) for key, row in rows.items()]
        with _writing(self.folder):
            path = self.folder / PARTS.replace("*", f"{self._parts:06d}")
            replace_file(path, ["".join(f"{line}\n" for line in lines).encode()])
        self._parts += 1
        self.rows.update(rows)

    def _check(self, head: Mapping[str, Any]) -> None:
        found = read_json(self.folder / HEAD)
        if any(found.get(key) != value for key, value in FORMAT.items()):
            raise UserError(f"{self.folder / HEAD} is not of a sweep, version {FORMAT['version']}")
        other = [key for key in head if found.get(key) != head[key]]
        if other:
            raise UserError(
                f"{self.folder} keeps another sweep, which differs in: {', '.join(other)}. "
                "Choose another folder, or delete it"
            )

    def _read(self) -> None:
        for path in sorted(self.folder.glob(PARTS)):
            try:
                for line in path.read_text(encoding="utf-8").splitlines():
                    read = json.loads(line)
                    key = Key(int(read["setting"]), int(read["prompt"]))
                    counts = (int(read[name]) for name in Row._fields[1:])
                    self.rows[key] = Row(str(read["text"]), *counts)
                self._parts = int(path.stem.removeprefix("rows-")) + 1
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path} is damaged ({one_line(error)}): delete it, and its rows are run again"
                ) from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {one_line(error)}") from error
