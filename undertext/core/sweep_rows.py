"""Rows of a steering sweep in a folder: a sweep that was killed goes on from them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line, read_json
from undertext.activations.store.disk import LOCK, lock_folder, replace_file
from undertext.core.resume import writing
from undertext.steering.sweep_runner import Key, Row

HEAD, ROWS = "sweep.json", "rows-*.jsonl"
FORMAT = {"format": "undertext sweep", "version": 3}


class SweepRows:
    """Rows of a steering sweep in a folder (a `RowStore`): a head that says which sweep it is, and parts
    that are written whole.

    A part is lines of JSON, `{"setting": i, "prompt": j, ...}` with the fields of `Row`; `i` is an index into
    the settings of the head. Pass it as `keep` to `sweep` and `halving`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._rows: dict[Key, Row] = {}
        self._parts = 0

    def open(self, sweep: Mapping[str, Any]) -> dict[Key, Row]:
        """The rows kept so far; the folder is made where it is not there.

        UserError for a folder of another sweep, naming what differs, for one that holds something else, and
        for a damaged file.
        """
        head = json.loads(json.dumps({**FORMAT, **sweep}))  # as it will be read
        file = self.folder / HEAD
        if file.is_file():
            before = read_json(file)
            if any(before.get(key) != value for key, value in FORMAT.items()):
                raise UserError(f"{shown(file)} is not of a sweep, version {FORMAT['version']}")
            if differ := [key for key in head if before.get(key) != head[key]]:
                raise UserError(
                    f"{shown(self.folder)} keeps another sweep, which differs in: {', '.join(differ)}. "
                    "Choose another folder, or delete it"
                )
            self._read()
        elif self.folder.exists() and {path.name for path in self.folder.iterdir()} - {LOCK, f"{HEAD}.tmp"}:
            raise UserError(
                f"{shown(self.folder)} holds no sweep ({HEAD}) and is not empty: choose another folder"
            )
        else:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                replace_file(file, [json.dumps(head, indent=1).encode() + b"\n"])
        return dict(self._rows)

    @contextmanager
    def writing(self) -> Iterator[dict[Key, Row]]:
        """Inside, nobody else may write into the folder; UserError when another does."""
        with writing(self.folder):
            lock = lock_folder(self.folder, "sweep folder")
        with lock:
            self._read()  # what another has written since
            yield dict(self._rows)

    def add(self, rows: Mapping[Key, Row]) -> None:
        """Keep more rows: all of them, or none when killed."""
        lines = [json.dumps({**key._asdict(), **row._asdict()}) for key, row in rows.items()]
        with writing(self.folder):
            path = self.folder / ROWS.replace("*", f"{self._parts:06d}")
            replace_file(path, ["".join(f"{line}\n" for line in lines).encode()])
        self._parts += 1
        self._rows.update(rows)

    def _read(self) -> None:
        for path in sorted(self.folder.glob(ROWS)):
            try:
                for line in path.read_text(encoding="utf-8").splitlines():
                    read = json.loads(line)
                    key = Key(int(read["setting"]), int(read["prompt"]))
                    counts = (int(read[name]) for name in Row._fields[1:])
                    self._rows[key] = Row(str(read["text"]), *counts)
                self._parts = int(path.stem.removeprefix("rows-")) + 1
            except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                raise UserError(
                    f"{shown(path)} is damaged ({one_line(error)}): delete it, and its rows are run again"
                ) from error
