"""Capturing straight into a store, and going on after whatever ended it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.positions import TokenSelector, resolve
from undertext.activations.store.columns import Value, Values, show
from undertext.activations.store.reader import Store
from undertext.activations.store.writer import StoreWriter

Chosen = Literal["last", "all"] | Mapping[Any, TokenSelector | Sequence[TokenSelector]]
"""Which tokens of each prompt: its last one, all, or for each key a span or a list of places in it."""
PROBLEM, POSITION, TOKENS = "problem", "position", "tokens"
UNIT_BYTES = 128 * 2**20


def tokens_fingerprint(ids: Sequence[int]) -> int:
    """A number that stands for these token ids: the first 8 bytes of the SHA-256 of them as int64, signed."""
    digest = hashlib.sha256(np.array(ids, dtype="<i8").tobytes()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def capture_to_store(
    checkpoint: Checkpoint,
    prompts: Mapping[Any, str | Sequence[int]],
    points: Sequence[HookPoint],
    positions: Chosen,
    folder: str | Path,
    *,
    columns: Mapping[str, Mapping[Any, Value]] | None = None,
    dtype: torch.dtype = torch.float32,
    unit: int = 256,
    batch_tokens: int | None = None,
    shard_rows: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Store:
    """Capture what the store in `folder` does not have yet, unit by unit of its prompts, and open it.

    Rows come in the order of `prompts`, with the columns `problem` (the key), `position` (from 0),
    `tokens` (the prompt's fingerprint) and those given. Killed and called again with the same
    arguments, it makes the store it would have made, byte for byte of every tensor. One unit's
    activations are in memory beside those waiting to be written.

    Args:
        checkpoint: what reads the prompts.
        prompts: by key (text, or whole numbers), a text or token ids.
        points: where to capture.
        positions: at which tokens.
        folder: where the store is, or is to be.
        columns: further columns, by name: the value of each key, such as its split.
        dtype: in which activations are stored.
        unit: how many prompts are captured, and stored, together; fewer, where their rows are more than
            128 MiB.
        batch_tokens: as for `capture`.
        shard_rows: rows to a shard; by default about 64 MiB of them.
        progress: called with the number of prompts stored or found stored, after each unit.

    Raises:
        UserError: as `capture` and `StoreWriter`; when a key lacks positions or a column's value; and
            when a key is stored with other tokens, positions or columns than are asked for.
    """
    if unit < 1:
        raise UserError(f"a unit has at least 1 prompt, got {unit}")
    keys = list(prompts)
    texts: Any = [prompts[key] for key in keys]
    encoded = dict(zip(keys, checkpoint.encode(texts), strict=True))
    extra = dict(columns or {})
    taken = {PROBLEM, POSITION, TOKENS} & set(extra)
    if taken:
        raise UserError(f"columns {', '.join(sorted(taken))} are filled by the capture itself")
    lacking = [(name, key) for name, values in extra.items() for key in keys if key not in values]
    if not isinstance(positions, str):
        lacking += [("positions", key) for key in keys if key not in positions]
    if lacking:
        raise UserError(f"{lacking[0][0]}: nothing is given for {lacking[0][1]!r}")
    places: Any = positions if isinstance(positions, str) else [positions[key] for key in keys]
    chosen = dict(zip(keys, resolve(checkpoint, texts, list(encoded.values()), places), strict=True))
    width = one_width({point: checkpoint.width(point) for point in points})
    meta = {"checkpoint": checkpoint.fingerprint}
    with StoreWriter(
        folder, points, width, dtype=dtype, key=PROBLEM, meta=meta, shard_rows=shard_rows
    ) as writer:
        _check_stored(Store.open(folder), encoded, chosen, extra)
        # Units are cut from all the prompts, not from what is missing: a prompt's batch, and so the last
        # bits of its activations, are then the same after a kill as without one.
        rows_of = [len(chosen[key]) for key in keys]
        most = max(1, UNIT_BYTES // (len(points) * width * dtype.itemsize))
        for part in _units(rows_of, unit, most):
            missing = [key for key in keys[part] if key not in writer.done]
            if missing:
                captured = capture(
                    checkpoint,
                    [encoded[key] for key in missing],
                    points,
                    [chosen[key] for key in missing],
                    dtype=dtype,
                    batch_tokens=batch_tokens,
                )
                owners = [missing[row] for row in captured.rows.tolist()]
                fingerprints = {key: tokens_fingerprint(encoded[key]) for key in missing}
                rows: dict[str, Values] = {
                    PROBLEM: owners,
                    POSITION: captured.positions,
                    TOKENS: [fingerprints[key] for key in owners],
                    **{name: [values[key] for key in owners] for name, values in extra.items()},
                }
                writer.append(captured.activations, rows)
            if progress is not None:
                progress(part.stop)
    return Store.open(folder)


def one_width(widths: Mapping[HookPoint, int]) -> int:
    """The width that all these points share; UserError when they differ, since a store has one."""
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{point} {width}" for point, width in widths.items())
        raise UserError(f"a store holds points of one width, got {found}: give each width a store of its own")
    return next(iter(widths.values()), 1)


def _units(rows_of: Sequence[int], unit: int, most: int) -> Iterator[slice]:
    """All prompts in order, at most `unit` of them and `most` rows at a time (one prompt may have more)."""
    start = rows = 0
    for place, count in enumerate(rows_of):
        if place > start and (place - start == unit or rows + count > most):
            yield slice(start, place)
            start, rows = place, 0
        rows += count
    if start < len(rows_of):
        yield slice(start, len(rows_of))


def _check_stored(
    store: Store,
    encoded: Mapping[Any, Sequence[int]],
    chosen: Mapping[Any, Sequence[int]],
    extra: Mapping[str, Mapping[Any, Value]],
) -> None:
    """UserError when a key asked for is stored already, but not as it is asked for."""
    if not len(store):
        return
    differing = set(store.rows) ^ {PROBLEM, POSITION, TOKENS, *extra}
    if differing:
        raise UserError(
            f"store {store.folder} and what is asked for differ in columns {show(sorted(differing))}"
        )
    there: dict[Value, list[int]] = {}
    said: dict[Value, list[Value]] = {}
    names = [TOKENS, *extra]
    for row, key in enumerate(store.rows[PROBLEM]):
        there.setdefault(key, []).append(int(store.rows[POSITION][row]))
        if key not in said:
            said[key] = [store.rows[name][row] for name in names]
    for key in there.keys() & encoded.keys():
        if chosen[key] != there[key]:
            raise UserError(
                f"store {store.folder} has {key!r} at positions {there[key]}, asked for are {chosen[key]}"
            )
        values = [tokens_fingerprint(encoded[key]), *(extra[name][key] for name in extra)]
        for name, value, had in zip(names, values, said[key], strict=True):
            if value != had:
                raise UserError(
                    f"store {store.folder} has {key!r} with {name} {had!r}, asked for is {value!r}"
                )
