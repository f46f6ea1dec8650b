"""One shard: a safetensors file with a tensor for each hook point and one for each column."""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.activations.store.columns import Column
from undertext.activations.store.disk import Piece
from undertext.activations.store.manifest import Manifest, ShardEntry
from undertext.activations.store.unit import Unit

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
COLUMN = "rows."  # before a column's name, so that none can be taken for a hook point
TEXTS = "texts"


def shard_pieces(points: tuple[str, ...], units: list[Unit]) -> list[Piece]:
    """The bytes of a safetensors file that holds `units`, as pieces of the memory they are in already.

    safetensors' own writer wants each tensor whole: joining the units first would cost a copy.
    """
    rows = sum(map(len, units))
    header: dict[str, Any] = {}
    data: list[Piece] = []
    texts = {}
    end = 0

    def add(name: str, kind: str, shape: list[int], pieces: list[Piece]) -> None:
        nonlocal end
        start, end = end, end + sum(len(piece) for piece in pieces)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
        data.extend(pieces)

    for name in units[0].columns:
        column = Column.join([unit.columns[name] for unit in units])
        if column.texts is not None:
            texts[name] = list(column.texts)
        add(COLUMN + name, "I64", [rows], [column.codes.astype("<i8").tobytes()])
    dtype, d_model = units[0].activations.dtype, units[0].activations.shape[2]
    for place, point in enumerate(points):
        pieces: list[Piece] = [
            unit.activations[place].reshape(-1).view(torch.uint8).numpy().data for unit in units
        ]
        add(point, _NAMES[dtype], [rows, d_model], pieces)
    head = json.dumps({"__metadata__": {TEXTS: json.dumps(texts)}, **header}).encode()
    head += b" " * (-len(head) % 8)  # the data then starts at a multiple of 8, as the format asks
    return [len(head).to_bytes(8, "little") + head, *data]


class Shard:
    """A shard opened for reading: its tensors are views of the file, and cost no memory until looked at."""

    def __init__(self, folder: Path, entry: ShardEntry, manifest: Manifest):
        self._path, self._rows, self._manifest = folder / entry.file, entry.rows, manifest
        try:
            self._file: Any = safe_open(self._path, framework="pt")
            with self._path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                self._header = json.loads(file.read(length))
            self._texts = json.loads(self._header["__metadata__"][TEXTS])
            self._data_at = 8 + length
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise UserError(f"shard {self._path} is missing or damaged: {one_line(error)}") from error

    def activations(self, point: str) -> Float[Tensor, "n d_model"]:
        """All its rows at one hook point; UserError naming the shard when they are not as listed."""
        wanted = (self._rows, self._manifest.d_model)
        return self._tensor(point, wanted, self._manifest.torch_dtype)

    def copy_run(self, point: str, first: int, out: Float[Tensor, "m d_model"]) -> None:
        """Fill `out`, which is contiguous, with the rows from `first` on.

        Reading the file is faster than touching its mapped pages, where a run of them is not in memory yet.
        """
        source = self.activations(point)[first : first + len(out)]
        left = out.view(torch.uint8).numpy().reshape(-1).data
        offset = self._data_at + self._header[point]["data_offsets"][0] + first * source[0].nbytes
        with self._path.open("rb", buffering=0) as file:
            file.seek(offset)
            while left and (count := file.readinto(left)):
                left = left[count:]
        if left:
            raise UserError(f"shard {self._path} is damaged: it ends before its rows do")

    def column(self, name: str) -> Column:
        """One column of all its rows; UserError naming the shard when it is not as listed."""
        codes = self._tensor(COLUMN + name, (self._rows,), torch.int64).numpy()
        if self._manifest.columns[name] == "integer":
            return Column(codes)
        texts = tuple(self._texts.get(name, ()))
        if not 0 <= codes.min() <= codes.max() < len(texts):
            raise UserError(f"shard {self._path} is damaged: its column {name!r} points outside its texts")
        return Column(codes, texts)

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        try:
            tensor: Tensor = self._file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise UserError(f"shard {self._path} is damaged: {one_line(error)}") from error
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise UserError(
                f"shard {self._path} is damaged: expected {name} {list(shape)} in {dtype}, "
                f"got {list(tensor.shape)} in {tensor.dtype}"
            )
        return tensor
