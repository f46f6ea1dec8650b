"""Checks on a local checkpoint folder, made before a model is built from it."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from undertext.activations.errors import UserError, shown

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

_MOST_BYTES = 256 << 20
"""No config, index or result comes near this size; what does would fill the memory when it is parsed."""
_MOST_DEPTH = 100
"""No config is nested like this, and libraries that walk one by recursion end in a traceback."""

Kind = TypeVar("Kind")

_WORDS: dict[type, str] = {
    str: "text",
    dict: "an object",
    list: "a list",
    bool: "true or false",
    int: "a number",
}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; UserError naming the file when it is none, too large or nested too deep."""
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise UserError(
                f"{shown(path)} has {size} bytes: a JSON file of at most {_MOST_BYTES} was expected"
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{shown(path)} cannot be read as JSON: {one_line(error)}") from error
    except RecursionError:
        raise _too_deep(path) from None
    if not isinstance(content, dict):
        raise UserError(f"{shown(path)} must hold a JSON object, got {type(content).__name__}")
    level: list[Any] = [content]
    for _ in range(_MOST_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return content
    raise _too_deep(path)


def entry(content: Mapping[str, Any], path: Path, key: str, kind: type[Kind]) -> Kind | None:
    """What a file that was read says under `key`, None where it says nothing; UserError for another type."""
    value = content.get(key)
    # In JSON true is no number, though it is one in Python.
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise UserError(f"{shown(path)}: {key} must be {_WORDS[kind]}, got {shown(repr(value), 60)}")
    return value


def check_config(folder: Path) -> None:
    """UserError unless the folder's config.json is one that transformers can be given.

    What it says of itself must be of the types that are due, and it must not name the file that its weights
    are read from: that file would be used instead of those that are checked, and may be a pickle.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{shown(folder)} is not a Hugging Face checkpoint: it has no config.json")
    config = read_json(path)
    refuse_named_weights(config, str(path))
    entry(config, path, "model_type", str)
    for key in ("text_config", "rope_parameters", "rope_scaling", "quantization_config", "auto_map"):
        entry(config, path, key, dict)
    entry(config, path, "tie_word_embeddings", bool)
    names = entry(config, path, "architectures", list) or []
    if not all(isinstance(name, str) for name in names):
        raise UserError(f"{shown(path)}: architectures must be a list of text, got {shown(names, 60)}")


def check_layers(folder: Path, files: list[Path]) -> None:
    """UserError when the config says more layers than there are tensors: building them might not end."""
    path = folder / "config.json"
    tensors = sum(len(check_safetensors(file)) for file in files)
    config = read_json(path)
    for part in (config, entry(config, path, "text_config", dict) or {}):
        for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
            layers = entry(part, path, key, int)
            if layers is not None and not 0 <= layers <= tensors:
                raise UserError(
                    f"{shown(path)}: {key} is {layers}, but the weights beside it are {tensors} tensors"
                )


def refuse_named_weights(config: Mapping[str, Any], source: str) -> None:
    """UserError when a config names the file of its weights (`transformers_weights`)."""
    if config.get("transformers_weights") is not None:
        raise UserError(
            f"{shown(source)} names its weights itself (transformers_weights: "
            f"{shown(repr(config['transformers_weights']), 60)}): only model.safetensors, or the shards of "
            "its index, are read; remove the key"
        )


def check_weights(folder: Path, stem: str = "model", *, sharded: bool = True) -> list[Path]:
    """The safetensors files of `folder` (one, or the shards of an index), each opened and its length checked.

    UserError when there are none (and whether the weights there are pickles), when a shard is missing, is no
    file of the folder or is no safetensors file, and when a file is truncated or corrupt. Without `sharded`
    an index does not count: its reader knows one file alone.
    """
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        files = [single]
    elif sharded and index.is_file():
        weight_map = entry(read_json(index), index, "weight_map", dict)
        if not weight_map:
            raise UserError(f"{shown(index)} names no weight files (its weight_map is missing or empty)")
        files = [folder / name for name in sorted({_shard(index, shard) for shard in weight_map.values()})]
    else:
        raise UserError(_no_weights(folder, single.name))
    for file in files:
        check_safetensors(file)
    return files


def check_safetensors(file: Path) -> list[str]:
    """The names of the tensors in a safetensors file; UserError when it is missing, truncated or corrupt."""
    if not is_file(file):
        raise UserError(f"weight file {shown(file)} is missing")
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(f"weight file {shown(file)} is truncated or corrupt: {one_line(error)}") from error


def is_file(path: Path) -> bool:
    """Whether there is such a file; no error for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; no error for a name that no folder can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def one_line(error: BaseException) -> str:
    """An exception's message on one line, cut where it goes on and on; its type's name when it has none."""
    return shown(" ".join(str(error).split()) or type(error).__name__, 400)


def _shard(index: Path, name: object) -> str:
    """The name of a shard in the folder; UserError for anything else that an index may say."""
    if not isinstance(name, str) or not name.endswith(".safetensors"):
        raise UserError(f"{shown(index)} names {shown(repr(name), 60)}: weights are safetensors files only")
    if any(
        path.is_absolute() or path.anchor or ".." in path.parts
        for path in (PurePosixPath(name), PureWindowsPath(name))
    ):
        raise UserError(f"{shown(index)} names {shown(repr(name), 60)}, which is outside its folder")
    return name


def _too_deep(path: Path) -> UserError:
    return UserError(f"{shown(path)} is nested more than {_MOST_DEPTH} deep")


def _no_weights(folder: Path, wanted: str) -> str:
    names = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles:
        return (
            f"{shown(folder)} holds weights in pickle format only ({shown(', '.join(pickles[:3]))}), "
            f"which can run code when read: save them as safetensors ({wanted})"
        )
    found = shown(", ".join(names[:8])) or "nothing"
    return f"{shown(folder)} holds no weights: expected {wanted} or {wanted}.index.json, found {found}"
