"""The list of what a store holds: the one file that decides which rows are there."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undertext.activations.errors import UserError
from undertext.activations.files import one_line, read_json
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store.disk import replace_file

MANIFEST = "manifest.json"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
Kind = Literal["text", "integer"]


class ShardEntry(BaseModel):
    """One shard, as it was when it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str = Field(pattern=r"^shard-\d{5,}\.safetensors$")
    rows: int = Field(gt=0)
    bytes: int = Field(gt=0)
    xxh128: str = Field(pattern=r"^[0-9a-f]{32}$")


class Manifest(BaseModel):
    """What a store holds. Rows are numbered through the shards in the order listed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["undertext activations"] = "undertext activations"
    version: Literal[1] = 1
    points: tuple[str, ...] = Field(min_length=1)
    """Names of the hook points, each that of a tensor [rows, d_model] in every shard."""
    d_model: int = Field(gt=0)
    dtype: Literal["float32", "float16", "bfloat16"]
    key: str
    """The column whose values say what is stored already."""
    columns: dict[str, Kind] = {}
    """Each column of the rows; empty until the first shard."""
    meta: dict[str, Any] = {}
    """What the writer says of the whole store, as JSON."""
    shards: tuple[ShardEntry, ...] = ()

    @property
    def hook_points(self) -> tuple[HookPoint, ...]:
        """The hook points by value."""
        return tuple(map(HookPoint.parse, self.points))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype in which activations are stored."""
        return DTYPES[self.dtype]

    @property
    def next_shard(self) -> str:
        """The file name of the shard to be written next."""
        return f"shard-{len(self.shards):05d}.safetensors"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put `manifest` in the place of the one before it, in one step; OSError when the disk refuses."""
    content = manifest.model_dump(mode="json")
    text = json.dumps({**content, "sha256": _digest(content)}, indent=1)
    replace_file(folder / MANIFEST, [text.encode() + b"\n"])


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the store in `folder`; UserError when there is none, or it is not as it was written."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder} is no activation store: it holds no {MANIFEST}")
    content = read_json(path)
    if content.get("format") != "undertext activations" or content.get("version") != 1:
        raise UserError(f"{path} is not the manifest of an activation store, version 1")
    if content.pop("sha256", None) != _digest(content):
        raise UserError(f"{path} was changed or damaged after it was written: its checksum does not fit")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error


def check_shards(folder: Path, manifest: Manifest) -> None:
    """UserError naming the shards that are missing or of another length than when they were written."""
    wrong = []
    for shard in manifest.shards:
        path = folder / shard.file
        if not path.is_file():
            wrong.append(f"{shard.file} is missing")
        elif path.stat().st_size != shard.bytes:
            wrong.append(f"{shard.file} has {path.stat().st_size} bytes instead of {shard.bytes}")
    if wrong:
        raise UserError(f"store {folder} is damaged: {'; '.join(wrong)}")


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of the manifest without its own checksum, as JSON with sorted keys and no spaces."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
