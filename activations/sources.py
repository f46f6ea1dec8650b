"""Turning whatever a user points at into a live model and its tokenizer."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from undertext.activations.errors import UserError
from undertext.activations.files import check_safetensors, check_weights, one_line, read_json
from undertext.activations.quiet import quiet
from undertext.activations.vocabulary import has_tokenizer, load_tokenizer


@dataclass(frozen=True)
class Options:
    """How weights are read: on which device, at which precision, and what the hub may serve."""

    device: torch.device
    dtype: torch.dtype
    trust_remote_code: bool
    revision: str | None

    @property
    def hub(self) -> dict[str, Any]:
        """What is passed on to every `from_pretrained`."""
        return {"trust_remote_code": self.trust_remote_code, "revision": self.revision}


def parse_device(device: str | torch.device) -> torch.device:
    """The device meant; UserError when there is no such device on this machine."""
    try:
        parsed = torch.device(device)
        torch.empty(0, device=parsed)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device {device!r} cannot be used here: {one_line(error)}") from error
    return parsed


def load_model(source: str | Path, options: Options) -> PreTrainedModel:
    """The model of a folder, of an adapter folder (merged into its base), or of a hub id."""
    folder = local_folder(source)
    if folder is not None and (folder / "adapter_config.json").is_file():
        return _load_adapter(folder, options)
    if folder is not None:
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} is not a Hugging Face checkpoint: it has no config.json")
        read_json(folder / "config.json")
        check_weights(folder)
    return _load_whole(source if folder is None else folder, options)


def tokenizer_for(source: str | Path, options: Options) -> PreTrainedTokenizerBase:
    """The tokenizer beside a source's weights; an adapter folder without one has that of its base."""
    folder = local_folder(source)
    if folder is not None and not has_tokenizer(folder) and (folder / "adapter_config.json").is_file():
        return tokenizer_for(_adapter_base(folder), options)
    return load_tokenizer(source if folder is None else folder, **options.hub)


def local_folder(source: str | Path) -> Path | None:
    """The folder a source names, or None when it can only be a hub id (`name` or `owner/name`).

    UserError when it is a file, or is written as a path and nothing is there.
    """
    text = str(source)
    path = Path(text).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{path} is a file: a checkpoint is a folder, or a hub id such as owner/name")
    written_as_path = (
        isinstance(source, Path)
        or text.startswith((os.sep, ".", "~"))
        or len(path.parts) != len(text.split("/"))
        or len(path.parts) > 2
        or (len(path.parts) == 2 and path.parent.exists())
    )
    if written_as_path:
        raise UserError(f"there is no checkpoint folder {path}")
    return None


def _load_whole(source: str | Path, options: Options) -> PreTrainedModel:
    try:
        with quiet():
            # With a device map each weight goes from the mapped file to its place; none is held twice.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source,
                use_safetensors=True,
                dtype=options.dtype,
                device_map={"": options.device},
                output_loading_info=True,
                **options.hub,
            )
    except Exception as error:
        # transformers raises many types here (config, weights, network): all of them are about this source.
        if "trust_remote_code" in str(error):
            raise UserError(
                f"{source} brings its own code, which runs only if trust_remote_code is on"
            ) from error
        raise UserError(f"cannot load a model from {source}: {one_line(error)}") from error
    model: PreTrainedModel = loaded[0]
    info = loaded[1]
    # transformers fills what a file lacks with random numbers and only warns.
    wrong = [
        f"{kind} {', '.join(sorted(map(str, keys))[:3])}{' ...' if len(keys) > 3 else ''} ({len(keys)})"
        for kind in ("missing", "unexpected", "mismatched")
        if (keys := info.get(f"{kind}_keys"))
    ]
    if wrong:
        raise UserError(f"the weights of {source} do not fit its config: {'; '.join(wrong)}")
    return model


def _adapter_base(folder: Path) -> str | Path:
    """What an adapter says it was trained from; a relative path may start from the adapter's folder."""
    base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise UserError(f"{folder / 'adapter_config.json'} names no base_model_name_or_path to merge it into")
    for path in (Path(base).expanduser(), folder / base):
        if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
            if path.resolve() == folder.resolve():
                raise UserError(f"{folder / 'adapter_config.json'} names its own folder as its base")
            return path
    return base


def _load_adapter(folder: Path, options: Options) -> PreTrainedModel:
    try:
        from peft import PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise UserError(
            f"{folder} is an adapter: reading it needs the package peft (pip install peft)"
        ) from error
    (file,) = check_weights(folder, "adapter_model")
    model = load_model(_adapter_base(folder), options)
    try:
        with quiet():
            adapted = PeftModel.from_pretrained(model, folder)
            # PEFT leaves at zero what the file lacks, and only warns.
            differ = set(check_safetensors(file)) ^ set(get_peft_model_state_dict(adapted))
            merged = adapted.merge_and_unload()
    except Exception as error:
        raise UserError(f"cannot merge the adapter {folder} into its base: {one_line(error)}") from error
    if differ:
        raise UserError(
            f"the weights of the adapter {folder} do not fit its base: {', '.join(sorted(differ)[:3])}"
        )
    return merged
