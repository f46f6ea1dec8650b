"""Turning whatever a user points at into a live model and its tokenizer."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from huggingface_hub import snapshot_download
from transformers import (
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.peft_utils import find_adapter_config_file

from undertext.activations.adapters import CONFIG, is_adapter, merge_adapter, recorded_base
from undertext.activations.errors import UserError, shown
from undertext.activations.files import (
    check_config,
    check_layers,
    check_weights,
    is_file,
    is_folder,
    one_line,
    refuse_named_weights,
)
from undertext.activations.paths import cached_weights, hub_answers, is_hub_id, local_folder, named
from undertext.activations.quiet import quiet
from undertext.activations.vocabulary import has_tokenizer, load_tokenizer

_GIVE = "write its base there, or load it by Checkpoint.load(adapter, base=...)"


@dataclass(frozen=True)
class Options:
    """How weights are read: on which device, at which precision, and what the hub may serve."""

    device: str | dict[str, torch.device]
    """accelerate's `device_map`."""
    dtype: torch.dtype | Literal["auto"]
    """`auto`: as the checkpoint says."""
    trust_remote_code: bool
    revision: str | None

    @property
    def hub(self) -> dict[str, Any]:
        """What is passed on to every `from_pretrained`."""
        return {"trust_remote_code": self.trust_remote_code, "revision": self.revision}


def quantised(model: PreTrainedModel, name: str) -> list[str]:
    """What a reader must know of a model whose weights are quantised; nothing of any other."""
    how = getattr(model.config, "quantization_config", None)
    if how is None:
        return []
    content = how if isinstance(how, dict) else how.to_dict()
    method = getattr(content.get("quant_method"), "value", content.get("quant_method"))
    return [
        f"{shown(name)} is quantised ({shown(str(method))}): all figures are those of the quantised weights"
    ]


class Chain(NamedTuple):
    """What a source comes to: adapters, each trained on what the next gives, and at the end a whole model."""

    adapters: list[Path]
    whole: str | Path | PreTrainedModel
    options: Options
    """How the whole model is read: at its own revision, which is not that of an adapter."""
    notes: list[str]
    """What a reader must know of how the adapters' bases were found."""


def chain(source: str | Path, options: Options, base: str | Path | PreTrainedModel | None = None) -> Chain:
    """Follow a source from adapter to base, each checked, nothing of them loaded.

    An adapter's base is the folder that it names, where there is one, from here or from the adapter's
    folder; then `base`; then the hub.

    `options.revision` is that of the source; bases have the one that their text names (`id@revision`), or
    that an adapter's config names for them.

    Raises:
        UserError: for anything that is not there or not as it must be, and for adapters in a circle.
    """
    adapters: list[Path] = []
    notes: list[str] = []
    revision = options.revision
    while True:
        source, revision = named(source, revision)
        options = replace(options, revision=revision)
        folder = local_folder(source)
        if folder is None:
            folder = _from_hub(str(source), options)
        if folder is None:
            _check_hub_config(str(source), options)
            return Chain(adapters, source, options, notes)
        if not is_adapter(folder):
            check_config(folder)
            check_layers(folder, check_weights(folder))
            return Chain(adapters, folder, options, notes)
        if folder.resolve() in [each.resolve() for each in adapters]:
            own = " its own folder as its base" if len(adapters) == 1 else " a base that is merged into it"
            raise UserError(f"{shown(adapters[-1] / CONFIG)} names{own}")
        adapters.append(folder)
        recorded, revision = recorded_base(folder)
        found = _named_folder(folder, recorded)
        if found is None and base is not None:
            if isinstance(base, PreTrainedModel):
                notes.append(_instead(folder, recorded, str(base.config.name_or_path or type(base).__name__)))
                return Chain(adapters, base, options, notes)
            if str(base) != recorded:
                notes.append(_instead(folder, recorded, str(base)))
            source, base, revision = base, None, None
            continue
        if found is None and recorded is None:
            raise UserError(
                f"{shown(folder / CONFIG)} names no base_model_name_or_path to merge it into: {_GIVE}"
            )
        if found is not None and base is not None and not _same(found, base):
            notes.append(f"the adapter {shown(folder)} is merged into the base it names, {shown(found)}")
        if found is None:
            try:
                local_folder(named(str(recorded)).source)
            except UserError as error:
                raise UserError(
                    f"the adapter {shown(folder)} names a base that is not here ({error}): {_GIVE}"
                ) from None
        source, revision = (str(recorded), revision) if found is None else (found, None)


def load_model(links: Chain) -> PreTrainedModel:
    """The whole model at a chain's end, its adapters merged into it. A live model there is copied."""
    model = (
        copy.deepcopy(links.whole)
        if isinstance(links.whole, PreTrainedModel)
        else _load_whole(links.whole, links.options)
    )
    for adapter in reversed(links.adapters):
        model = merge_adapter(adapter, model)
    return model


def files_of(links: Chain) -> list[Path]:
    """The safetensors files that a model was read from as it is; none where an adapter is merged into it."""
    if links.adapters or isinstance(links.whole, PreTrainedModel):
        return []
    folder = links.whole
    if not isinstance(folder, Path):
        cached = cached_weights(folder, links.options.revision)
        if cached is None:
            return []
        folder = cached
    try:
        return check_weights(folder)
    except UserError:
        return []


def tokenizer_for(links: Chain) -> PreTrainedTokenizerBase:
    """The tokenizer beside a chain's weights; an adapter folder without one has that of its base."""
    for folder in links.adapters:
        if has_tokenizer(folder):
            return load_tokenizer(folder, trust_remote_code=links.options.trust_remote_code)
    if isinstance(links.whole, PreTrainedModel):
        return tokenizer_of(links.whole)
    return load_tokenizer(links.whole, **links.options.hub)


def tokenizer_of(model: PreTrainedModel) -> PreTrainedTokenizerBase:
    """The tokenizer of a live model: of the folder it was loaded from, or of the hub's cache.

    Nothing is fetched. UserError with the way to give one when there is none.
    """
    name = str(getattr(model.config, "name_or_path", "") or "")
    folder = Path(name).expanduser()
    why = "it does not say where it was loaded from"
    if name:
        try:
            if is_folder(folder) and has_tokenizer(folder):
                return load_tokenizer(folder)
            if not is_folder(folder) and is_hub_id(name):
                return load_tokenizer(name, local_files_only=True)
            why = f"there is none in {shown(name)}"
        except UserError as error:
            why = str(error)
    raise UserError(
        f"{shown(name or type(model).__name__)} is a live model without a tokenizer ({why}): give both, "
        "as (model, tokenizer)"
    )


def _load_whole(source: str | Path, options: Options) -> PreTrainedModel:
    try:
        with quiet():
            # With a device map each weight goes from the mapped file to its place; none is held twice.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source,
                use_safetensors=True,
                dtype=options.dtype,
                device_map=options.device,
                output_loading_info=True,
                **options.hub,
            )
    except Exception as error:
        # transformers raises many types here (config, weights, network): all of them are about this source.
        if "trust_remote_code" in str(error):
            raise UserError(
                f"{shown(source)} brings its own code, which runs only if trust_remote_code is on"
            ) from error
        raise UserError(f"cannot load a model from {shown(source)}: {one_line(error)}") from error
    model: PreTrainedModel = loaded[0]
    info = loaded[1]
    # transformers fills what a file lacks with random numbers and only warns.
    wrong = [
        f"{kind} {', '.join(sorted(map(str, keys))[:3])}{' ...' if len(keys) > 3 else ''} ({len(keys)})"
        for kind in ("missing", "unexpected", "mismatched")
        if (keys := info.get(f"{kind}_keys"))
    ]
    if wrong:
        raise UserError(
            f"the weights of {shown(source)} do not fit its config: {shown('; '.join(wrong), 600)}"
        )
    return model


def _named_folder(folder: Path, named: str | None) -> Path | None:
    """The folder an adapter names as its base, where it is here; a relative path may start from its own."""
    if named is None:
        return None
    for path in (Path(named).expanduser(), folder / named):
        if is_file(path / "config.json") or is_file(path / CONFIG):
            return path
    return None


def _same(found: Path, base: str | Path | PreTrainedModel) -> bool:
    given = base.config.name_or_path if isinstance(base, PreTrainedModel) else base
    path = Path(str(given)).expanduser()
    return is_folder(path) and path.resolve() == found.resolve()


def _instead(folder: Path, named: str | None, base: str) -> str:
    says = f"names the base {shown(named)}, which is not here" if named else "names no base"
    return f"the adapter {shown(folder)} {says}: it is merged into {shown(base)}"


def _from_hub(name: str, options: Options) -> Path | None:
    """The folder of a hub id that is an adapter, fetched or from the cache; None where it is a whole model.

    Left to itself, transformers would read the adapter's weights from a pickle too. Where the hub does not
    answer, a whole model is a folder of the cache too.
    """
    answers = hub_answers(name, options.revision)
    try:
        with quiet():
            if not answers:
                return Path(snapshot_download(name, revision=options.revision, local_files_only=True))
            config = find_adapter_config_file(name, revision=options.revision)
            if config is None:
                return None
            wanted = [CONFIG, "adapter_model.safetensors", "*token*", "vocab*", "merges.txt", "*.jinja"]
            return Path(snapshot_download(name, revision=options.revision, allow_patterns=wanted))
    except Exception as error:
        raise UserError(f"cannot load a model from {shown(name)}: {one_line(error)}") from error


def _check_hub_config(name: str, options: Options) -> None:
    try:
        with quiet():
            config, _ = PreTrainedConfig.get_config_dict(name, revision=options.revision)
    except Exception as error:
        raise UserError(f"cannot load a model from {shown(name)}: {one_line(error)}") from error
    refuse_named_weights(config, name)
