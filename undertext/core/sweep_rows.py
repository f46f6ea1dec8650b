"""Rows of a steering sweep in a folder: a sweep that was killed goes on from them."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line, read_json
from undertext.activations.store.disk import LOCK, lock_folder, replace_file
from undertext.core.resume import writing
from undertext.core.shared import digest_of
from undertext.steering.sweep_runner import Key, Row

HEAD, ROWS = "sweep.json", "rows-*.jsonl"
FORMAT = {"format": "undertext sweep", "version": 3}


class SweepRows:
    """Rows of a steering sweep in a folder (a `RowStore`): a head that says which sweep it is, and parts
    that are written whole.

    A part is lines of JSON, `{"setting": i, "prompt": j, ...}` with the fields of `Row`; `i` is an index into
    the settings of the head. Pass it as `keep` to `sweep` and `halving`.
    """

    def __init__(self, folder: str | Path, shared: Path | None = None, vectors: Collection[str] = ()) -> None:
        """`shared` is a folder in which sweeps of one checkpoint have their rows in common, under the
        `vectors` of these names: a row is known there by its prompts, vector and setting, not by names."""
        self.folder = Path(folder)
        self._rows: dict[Key, Row] = {}
        self._parts = 0
        self._shared, self._vectors = shared, frozenset(vectors)
        self._alike: dict[int, str] = {}
        """By setting whose rows are shared: a digest of what they depend on."""

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
        if self._shared is not None:
            self._shared /= digest_of({key: head[key] for key in ("checkpoint", "prompts", "generation")})
            self._alike = {
                i: digest_of(
                    setting
                    | {"vector": head["vectors"][setting["vector"]]}
                    | {"readout": head["thresholds"].get(setting["gate"]["threshold"])}
                )
                for i, setting in enumerate(head["settings"])
                if setting["vector"] in self._vectors
            }
            places = {alike: i for i, alike in self._alike.items()}
            for _, key, row in _rows_in(self._shared, lambda alike: places.get(alike, -1)):
                if key.setting >= 0:
                    self._rows.setdefault(key, row)
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
        _write_rows(self.folder, self._parts, [key._asdict() | row._asdict() for key, row in rows.items()])
        self._parts += 1
        self._rows.update(rows)
        common = [
            {**row._asdict(), "setting": self._alike[key.setting], "prompt": key.prompt}
            for key, row in rows.items()
            if key.setting in self._alike
        ]
        if common and self._shared is not None:
            self._shared.mkdir(parents=True, exist_ok=True)
            _write_rows(self._shared, len(list(self._shared.glob(ROWS))), common)

    def _read(self) -> None:
        for path, key, row in _rows_in(self.folder, int):
            self._rows[key] = row
            self._parts = int(path.stem.removeprefix("rows-")) + 1


def _write_rows(folder: Path, number: int, rows: list[dict[str, Any]]) -> None:
    with writing(folder):
        path = folder / ROWS.replace("*", f"{number:06d}")
        replace_file(path, ["".join(f"{json.dumps(row)}\n" for row in rows).encode()])


def _rows_in(folder: Path, index: Callable[[Any], int]) -> Iterator[tuple[Path, Key, Row]]:
    """Each line of a folder: its file, its key and its row; `index` is of what it says of its setting.

    UserError for a damaged file.
    """
    for path in sorted(folder.glob(ROWS)):
        try:
            for line in path.read_text(encoding="utf-8").splitlines():
                read = json.loads(line)
                counts = (int(read[name]) for name in Row._fields[1:])
                key = Key(index(read["setting"]), int(read["prompt"]))
                yield path, key, Row(str(read["text"]), *counts)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise UserError(
                f"{shown(path)} is damaged ({one_line(error)}): delete it, and its rows are run again"
            ) from error
