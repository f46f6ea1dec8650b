"""Checks on a local checkpoint folder, made before a model is built from it."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from undertext.activations.errors import UserError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; UserError naming the file when it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def check_weights(folder: Path, stem: str = "model") -> list[Path]:
    """The safetensors files of `folder` (one, or the shards of an index), each opened and its length checked.

    UserError when there are none (and whether the weights there are pickles), when a shard is
    missing, or when a file is truncated or corrupt.
    """
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        files = [single]
    elif index.is_file():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise UserError(f"{index} names no weight files (its weight_map is missing or empty)")
        files = [folder / str(shard) for shard in sorted(set(weight_map.values()))]
    else:
        raise UserError(_no_weights(folder, single.name))
    for file in files:
        check_safetensors(file)
    return files


def check_safetensors(file: Path) -> list[str]:
    """The names of the tensors in a safetensors file; UserError when it is missing, truncated or corrupt."""
    if not file.is_file():
        raise UserError(f"weight file {file} is missing")
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(f"weight file {file} is truncated or corrupt: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """An exception's message on one line, cut where it goes on and on; its type's name when it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]} ..."


def _no_weights(folder: Path, wanted: str) -> str:
    names = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles:
        return (
            f"{folder} holds weights in pickle format only ({', '.join(pickles[:3])}), "
            f"which can run code when read: save them as safetensors ({wanted})"
        )
    found = ", ".join(names[:8]) or "nothing"
    return f"{folder} holds no weights: expected {wanted} or {wanted}.index.json, found {found}"
