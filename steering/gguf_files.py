"""GGUF control vectors, the format of repeng and llama.cpp.

A tensor `direction.i` is added to the output of block i, counted from 0: repeng wraps block i, llama.cpp
calls `build_cvec(cur, il)` where block `il` ends. That is our `resid_post` of layer i. llama.cpp has no
place for layer 0, refuses a file that holds `direction.0`, and takes layers that a file leaves out as
zeros; repeng writes whatever layers it was given, by default all but 0.

The package gguf is an extra: `pip install -e '.[gguf]'` in the clone. It is loaded when a file is.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError, install
from undertext.activations.files import one_line
from undertext.activations.store.disk import replace_file
from undertext.steering.files import CARD, Card
from undertext.steering.steering_vector import SteeringVector
from undertext.steering.vectors import unit

ARCHITECTURE = "controlvector"
HINT = f"{ARCHITECTURE}.model_hint"
COUNT = f"{ARCHITECTURE}.layer_count"
TENSOR = "direction."
READABLE = ("F16", "F32", "F64")


def load_gguf() -> Any:
    """The package gguf. Raises UserError saying how to install it where it is missing."""
    try:
        import gguf
    except ImportError as error:
        raise UserError(f"GGUF files need gguf, which is not installed: {install('gguf')}") from error
    return gguf


def export_gguf(
    vector: SteeringVector,
    path: str | Path,
    *,
    model_type: str,
    dose: float = 1.0,
    layers: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Write a vector so that at strength 1 llama.cpp and repeng add what `dose` adds here at these layers.

    Args:
        vector: of the site `resid_post`.
        path: the file, which is whole or not there.
        model_type: the model's `config.model_type`, a hint to whoever reads the file.
        dose: in units of the vector's norms.
        layers: None takes every layer that has a direction, but for layer 0.

    Returns:
        The layers written.

    Raises:
        UserError: for another site, layer 0, a layer without a direction or none at all, and when the
            disk refuses.
    """
    if vector.site != "resid_post":
        raise UserError(f"control vectors act at resid_post, vector {vector.name!r} is of {vector.site}")
    chosen = [each for each in vector.layers if each] if layers is None else sorted(set(layers))
    for layer in chosen:
        vector.check_layer(layer)
    if 0 in chosen:
        raise UserError("llama.cpp has no place for a direction at layer 0: leave it out of layers")
    if not chosen:
        raise UserError(f"vector {vector.name!r} has no direction at a layer from 1 on to write")
    acting = (dose * vector.norms[:, None] * unit(vector.directions)).float().cpu().numpy()
    try:
        with TemporaryDirectory() as folder:
            partial = Path(folder) / "vector.gguf"
            writer = load_gguf().GGUFWriter(partial, ARCHITECTURE)
            writer.add_name(vector.name)
            writer.add_description(vector.made)
            writer.add_string(HINT, model_type)
            writer.add_uint32(COUNT, len(chosen))
            writer.add_string(CARD, Card.of(vector).model_dump_json())
            for layer in chosen:
                writer.add_tensor(f"{TENSOR}{layer}", acting[layer])
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            replace_file(Path(path), [partial.read_bytes()])
    except OSError as error:
        raise UserError(f"cannot write {path}: {one_line(error)}") from error
    return tuple(chosen)


def import_gguf(
    path: str | Path,
    *,
    n_layers: int,
    d_model: int,
    norms: Float[Tensor, " layer"] | None = None,
    name: str | None = None,
) -> SteeringVector:
    """Read a control vector for a model of this many layers and this width.

    Without `norms` its own lengths are the unit of dose: a dose is then what repeng calls the coefficient
    and llama.cpp the scale. Layers that the file leaves out are `absent`. From files not written by
    `export_gguf` nothing is known of how the vector was made.

    Raises:
        UserError: for a file that is no GGUF file or of another architecture, holds no directions, one
            for a layer that the model lacks, one of another width or type, or NaN.
    """
    path, gguf = Path(path), load_gguf()
    try:
        reader = gguf.GGUFReader(path)
    except Exception as error:  # whatever it meets in a broken file: ValueError, IndexError, KeyError
        raise UserError(f"{path} cannot be read as GGUF: {one_line(error)}") from error
    architecture = _text(reader, "general.architecture")
    if architecture != ARCHITECTURE:
        raise UserError(f"{path}: expected the architecture {ARCHITECTURE!r}, got {architecture!r}")
    directions = torch.zeros(n_layers, d_model)
    present = set()
    for tensor in reader.tensors:
        if tensor.name.startswith(TENSOR):
            layer = _layer(tensor.name, path, n_layers)
            directions[layer] = _direction(tensor, path, d_model)
            present.add(layer)
    if not present:
        names = ", ".join(tensor.name for tensor in reader.tensors[:5]) or "none"
        raise UserError(f"{path} holds no tensors {TENSOR}LAYER; its tensors: {names}")
    written = _text(reader, CARD)
    card = Card.read(written, path) if written is not None else None
    hint = _text(reader, HINT) or "an unknown model"
    return SteeringVector(
        name=name or (card.name if card else path.stem),
        directions=directions,
        norms=directions.norm(dim=-1) if norms is None else norms,
        made=card.made if card else f"read from the control vector {path.name}, for {hint}",
        trained=card.trained if card else None,
        sources=card.sources if card else (),
        absent=frozenset(range(n_layers)) - present,
    )


def _text(reader: Any, key: str) -> str | None:
    """A text among a file's keys; None where it is not there or no text."""
    field = reader.get_field(key)
    if field is None or [kind.name for kind in field.types] != ["STRING"]:
        return None
    return bytes(field.parts[-1]).decode(errors="replace")


def _layer(name: str, path: Path, n_layers: int) -> int:
    number = name.removeprefix(TENSOR)
    if not number.isdecimal():
        raise UserError(f"{path}: expected {TENSOR}LAYER, got a tensor {name!r}")
    if int(number) >= n_layers:
        raise UserError(f"{path} holds {name}, but the model's layers are 0 to {n_layers - 1}")
    return int(number)


def _direction(tensor: Any, path: Path, d_model: int) -> Float[Tensor, " d_model"]:
    if tensor.tensor_type.name not in READABLE:
        raise UserError(f"{path}: {tensor.name} is {tensor.tensor_type.name}, expected F32, F16 or F64")
    if tensor.data.shape != (d_model,):
        raise UserError(f"{path}: expected {tensor.name} [{d_model}], got {list(tensor.data.shape)}")
    return torch.from_numpy(np.array(tensor.data, dtype=np.float32))
