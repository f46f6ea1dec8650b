"""Tuned lenses on disk: the layout of the `tuned-lens` package, and one file of safetensors."""

import json
import pickle
from io import BytesIO
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.files import check_safetensors, one_line, read_json
from undertext.activations.store.disk import replace_file
from undertext.probes.tuned_lens import TunedLens

CONFIG, PARAMS = "config.json", "params.pt"
LENS_TYPE = "linear_tuned_lens"
_SIZES = ("d_model", "num_hidden_layers")


def save_lens(lens: TunedLens, path: str | Path) -> Path:
    """Write `path`, which ends in .safetensors, as one file; any other as a folder of the published layout.

    The published layout is `config.json` and `params.pt`, as the `tuned-lens` package 0.2 writes and reads
    it. Files appear whole. Raises UserError where they cannot be written.
    """
    path = Path(path)
    tensors = {"weight": lens.weight.contiguous(), "bias": lens.bias.contiguous()}
    try:
        if path.suffix == ".safetensors":
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, [save(tensors, metadata={"lens_type": LENS_TYPE, "model": lens.model})])
            return path
        state = {f"{i}.{name}": each[i].clone() for name, each in tensors.items() for i in range(len(each))}
        config = {
            "base_model_name_or_path": lens.model,
            "d_model": lens.bias.shape[1],
            "num_hidden_layers": len(lens.bias),
            "bias": True,
            "base_model_revision": None,
            "unembed_hash": None,
            "lens_type": LENS_TYPE,
        }
        buffer = BytesIO()
        torch.save(state, buffer)
        path.mkdir(parents=True, exist_ok=True)
        replace_file(path / PARAMS, [buffer.getvalue()])
        replace_file(path / CONFIG, [json.dumps(config).encode()])
    except OSError as error:
        raise UserError(f"cannot write the lens {path}: {error.strerror or error}") from error
    return path


def load_lens(path: str | Path, checkpoint: Checkpoint | None = None) -> TunedLens:
    """A lens from a .safetensors file or a folder of the published layout, in float32 on the CPU.

    `params.pt` is a pickle: tensors alone are taken from it, and nothing in it is run. With `checkpoint`,
    the lens must fit it. Raises UserError for a file that is missing or not what it should be.
    """
    path = Path(path)
    lens = _from_safetensors(path) if path.suffix == ".safetensors" else _from_published(path)
    if checkpoint is not None:
        lens.check(checkpoint)
    return lens


def _from_safetensors(path: Path) -> TunedLens:
    names = check_safetensors(path)
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        if sorted(names) != ["bias", "weight"] or about.get("lens_type") != LENS_TYPE:
            raise UserError(
                f"{path} is no tuned lens: expected tensors weight and bias, got {', '.join(names[:8])}"
            )
        weight, bias = file.get_tensor("weight").float(), file.get_tensor("bias").float()
    if weight.ndim != 3 or weight.shape != (*bias.shape, bias.shape[-1]):
        raise UserError(f"{path}: weight {list(weight.shape)} and bias {list(bias.shape)} do not fit")
    return TunedLens(weight, bias, about.get("model", ""))


def _from_published(folder: Path) -> TunedLens:
    config = read_json(folder / CONFIG)
    if config.get("lens_type", LENS_TYPE) != LENS_TYPE:
        raise UserError(f"{folder}: expected a lens_type of {LENS_TYPE}, got {config['lens_type']!r}")
    for name in _SIZES:
        if not isinstance(config.get(name), int) or config[name] < 1:
            raise UserError(f"{folder / CONFIG}: expected a whole number as {name}, got {config.get(name)!r}")
    d, n = (int(config[name]) for name in _SIZES)
    try:
        state = torch.load(folder / PARAMS, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"{folder / PARAMS} cannot be read as tensors: {one_line(error)}") from error
    wanted: dict[str, tuple[int, ...]] = {f"{i}.weight": (d, d) for i in range(n)}
    if config.get("bias", True):
        wanted |= {f"{i}.bias": (d,) for i in range(n)}
    if not isinstance(state, dict) or not all(isinstance(each, torch.Tensor) for each in state.values()):
        raise UserError(f"{folder / PARAMS}: expected tensors by name")
    found = {str(name): tuple(each.shape) for name, each in state.items()}
    wrong = [
        f"{name} {found.get(name, 'missing')} (expected {wanted.get(name, 'none')})"
        for name in (wanted | found)
        if found.get(name) != wanted.get(name)
    ]
    if wrong:
        raise UserError(f"{folder / PARAMS} is not as its config says: {'; '.join(wrong[:3])}")
    weight = torch.stack([state[f"{i}.weight"].float() for i in range(n)])
    biases = [state[f"{i}.bias"].float() if config.get("bias", True) else torch.zeros(d) for i in range(n)]
    return TunedLens(weight, torch.stack(biases), str(config.get("base_model_name_or_path", "")))
