"""Going on with a store that is there, whatever ended the writer before."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.activations.store.columns import Value
from undertext.activations.store.disk import writing
from undertext.activations.store.manifest import (
    MANIFEST,
    Manifest,
    check_shards,
    read_manifest,
    write_manifest,
)
from undertext.activations.store.shard import Shard


def begin(
    folder: Path, points: tuple[str, ...], d_model: int, dtype: str, key: str, meta: Mapping[str, Any]
) -> tuple[Manifest, set[Value]]:
    """The manifest to go on from (a new one where there is none), and the keys that are stored.

    The caller holds the folder's lock. UserError when what is there is damaged, is another store
    than the one described, or is more than its manifest lists.
    """
    try:
        said = json.loads(json.dumps(dict(meta)))  # as it will be read back: tuples become lists
    except (TypeError, ValueError) as error:
        raise UserError(f"meta must be what JSON can hold: {one_line(error)}") from error
    wanted = Manifest.model_validate(
        {"points": points, "d_model": d_model, "dtype": dtype, "key": key, "meta": said}
    )
    found = sorted(path.name for path in folder.glob("shard-*.safetensors"))
    if not (folder / MANIFEST).exists():
        # The manifest is there before any shard is: these are the rest of a store, not ours to write over.
        if found:
            raise UserError(
                f"{folder} holds {found[0]} but no {MANIFEST}: put it back, or choose another folder"
            )
        with writing(folder, MANIFEST):
            write_manifest(folder, wanted)
        return wanted, set()
    manifest = read_manifest(folder)
    _check_same(folder, manifest, wanted)
    check_shards(folder, manifest)
    # A kill between a shard and the manifest that would have listed it leaves that one shard, and no more.
    foreign = set(found) - {shard.file for shard in manifest.shards} - {manifest.next_shard}
    if foreign:
        raise UserError(f"{folder} holds {min(foreign)}, which its {MANIFEST} does not list: move it away")
    with writing(folder, "to it"):
        for leftover in (manifest.next_shard, f"{manifest.next_shard}.tmp", f"{MANIFEST}.tmp"):
            (folder / leftover).unlink(missing_ok=True)
    done: set[Value] = set()
    for entry in manifest.shards:
        done.update(Shard(folder, entry, manifest).column(key).distinct())
    return manifest, done


def _check_same(folder: Path, manifest: Manifest, wanted: Manifest) -> None:
    differing = [
        f"{name} is {getattr(manifest, name)}, not {getattr(wanted, name)}"
        for name in ("points", "d_model", "dtype", "key", "meta")
        if getattr(manifest, name) != getattr(wanted, name)
    ]
    if differing:
        raise UserError(f"store {folder} is another than is to be written: {'; '.join(differing)}")
