"""Values as bytes, and back without loss: how the finished parts of a job are kept, or sent elsewhere.

One safetensors file: its tensors are the arrays, and its metadata holds all else as JSON. Nothing in such a
file can run code when it is read: an object is rebuilt only as a dataclass, a named tuple or a pydantic model
of this package, by calling its class with its fields.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import BaseModel
from safetensors.torch import load, save
from torch import Tensor

OWN = "undertext."
KIND = "$"
"""Key that marks a JSON object as something other than a number, text, a list, true, false or null."""


def pack(value: Any) -> bytes:
    """The bytes of a value.

    What can be packed: None, bool, int, float (NaN and infinity too), str, Path, list, tuple, set, frozenset,
    dict with any of these as keys, NumPy arrays and scalars, torch tensors, Arrow tables, and dataclasses,
    named tuples and pydantic models of this package. Raises TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_plain(value, tensors), ensure_ascii=True)
    return bytes(save(tensors, metadata={"value": text}))


def unpack(data: bytes) -> Any:
    """The value that `pack` made these bytes of. Raises ValueError for bytes that are damaged."""
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return _value(json.loads(header["__metadata__"]["value"]), load(data))
    except Exception as error:  # safetensors and Arrow raise types of their own
        raise ValueError(f"damaged: {' '.join(str(error).split()) or type(error).__name__}") from error


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_plain(part, tensors) for part in value]
    if isinstance(value, Tensor):
        return {KIND: "tensor", "at": _add(value.detach().cpu(), tensors)}
    if isinstance(value, np.ndarray):
        # A copy in the row order that safetensors writes.
        return {KIND: "array", "at": _add(torch.from_numpy(np.array(value, order="C")), tensors)}
    if isinstance(value, pa.Table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_table(value)
        read = np.frombuffer(sink.getvalue(), np.uint8).copy()
        return {KIND: "table", "at": _add(torch.from_numpy(read), tensors)}
    if isinstance(value, Path):
        return {KIND: "path", "of": str(value)}
    if isinstance(value, Mapping):
        return {KIND: "dict", "of": [[_plain(k, tensors), _plain(v, tensors)] for k, v in value.items()]}
    if isinstance(value, set | frozenset):
        parts = sorted((_plain(part, tensors) for part in value), key=repr)
        return {KIND: type(value).__name__, "of": parts}
    if isinstance(value, tuple) and type(value) is tuple:
        return {KIND: "tuple", "of": [_plain(part, tensors) for part in value]}
    names = _fields(value)
    if names is None or not type(value).__module__.startswith(OWN):
        raise TypeError(f"cannot keep a value of type {type(value).__module__}.{type(value).__qualname__}")
    return {
        KIND: "object",
        "type": f"{type(value).__module__}:{type(value).__qualname__}",
        "of": [[name, _plain(getattr(value, name), tensors)] for name in names],
    }


def _fields(value: Any) -> list[str] | None:
    """The fields that an object is rebuilt from; None for what is no dataclass, named tuple or model."""
    if isinstance(value, BaseModel):
        return list(type(value).model_fields)
    if is_dataclass(value):
        return [each.name for each in fields(value) if each.init]
    return list(value._fields) if isinstance(value, tuple) and hasattr(value, "_fields") else None


def _add(tensor: Tensor, tensors: dict[str, Tensor]) -> str:
    name = str(len(tensors))
    tensors[name] = tensor.contiguous().clone()  # safetensors refuses tensors that share memory
    return name


def _value(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(plain, list):
        return [_value(part, tensors) for part in plain]
    if not isinstance(plain, dict):
        return plain
    match plain[KIND]:
        case "tensor":
            return tensors[plain["at"]]
        case "array":
            return tensors[plain["at"]].numpy()
        case "table":
            return pa.ipc.open_stream(tensors[plain["at"]].numpy().tobytes()).read_all()
        case "path":
            return Path(plain["of"])
        case "dict":
            return {_value(key, tensors): _value(part, tensors) for key, part in plain["of"]}
        case "tuple" | "set" | "frozenset" as kind:
            make = {"tuple": tuple, "set": set, "frozenset": frozenset}[kind]
            return make(_value(part, tensors) for part in plain["of"])
    module, name = plain["type"].split(":")
    if not module.startswith(OWN):
        raise ValueError(f"an object of {module}, which is none of this package")
    cls: Any = import_module(module)
    for part in name.split("."):
        cls = getattr(cls, part)
    if not isinstance(cls, type) or not (is_dataclass(cls) or issubclass(cls, BaseModel | tuple)):
        raise ValueError(f"{name} is no dataclass, named tuple or model")
    return cls(**{field: _value(part, tensors) for field, part in plain["of"]})
