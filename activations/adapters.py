"""PEFT adapters that are read from a folder: what they were trained on, and merging them into it."""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from undertext.activations.errors import UserError, shown
from undertext.activations.files import check_safetensors, check_weights, entry, is_file, one_line, read_json
from undertext.activations.quiet import quiet

CONFIG = "adapter_config.json"

_INSIDE = "base_model.model."
"""What PEFT puts before the name of each of the base's own modules."""


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds an adapter. UserError when it holds a whole model too.

    The adapter may be a leftover of the training that the model came from, or belong on top of the model:
    the files do not say which.
    """
    if not is_file(folder / CONFIG):
        return False
    whole = [n for n in ("model.safetensors", "model.safetensors.index.json") if is_file(folder / n)]
    if whole and is_file(folder / "config.json"):
        raise UserError(
            f"{shown(folder)} holds both a whole model ({whole[0]}) and an adapter ({CONFIG}), and which "
            "of them is meant cannot be told: move one of them to a folder of its own"
        )
    return True


def recorded_base(folder: Path) -> tuple[str | None, str | None]:
    """The base that an adapter's config names, as it is written there, and its revision on the hub."""
    content = read_json(folder / CONFIG)
    entry(content, folder / CONFIG, "peft_type", str)
    name, revision = (
        entry(content, folder / CONFIG, key, str) for key in ("base_model_name_or_path", "revision")
    )
    return name or None, revision or None


def merge_adapter(folder: Path, model: PreTrainedModel) -> PreTrainedModel:
    """`model` with the adapter of `folder` merged into its weights, which are changed in place.

    A base whose embeddings the tuning resized is resized first. Where an adapter of the input or the output
    embedding meets a weight that both share, each gets a weight of its own. Logits of a few tokens are
    compared before and after the merge.

    Raises:
        UserError: when the adapter does not fit the base, cannot be merged, or does not compute the same
            merged as it does unmerged.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise UserError(
            f"{shown(folder)} is an adapter: reading it needs the package peft (pip install peft)"
        ) from error
    from undertext.activations.adapted import inner_model

    # PEFT reads this one file. Where it is lacking PEFT takes a pickle, whatever else lies beside it.
    (file,) = check_weights(folder, "adapter_model", sharded=False)
    names = _embedding_names(model)
    try:
        with quiet(), torch.inference_mode(False), torch.no_grad():
            _resize(model, names, file, folder)
            adapted: Any = PeftModel.from_pretrained(model, folder).eval()
            inner_model(adapted, str(folder))
            _check_names(adapted, names, file, folder)
            _check_embeddings(adapted, names, file, folder)
            before = _few_logits(adapted)
            _untie(adapted.get_base_model())
            merged: PreTrainedModel = adapted.merge_and_unload()
            after = _few_logits(merged)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"cannot merge the adapter {shown(folder)} into its base: {one_line(error)}"
        ) from error
    most = max(1e-3, 32 * torch.finfo(merged.dtype).eps) * float(before.abs().max())
    off = float((after - before).abs().max())
    if not off <= most and not bool(before.isnan().any()):
        raise UserError(
            f"merged into its base, the adapter {shown(folder)} computes something else (logits off by "
            f"{off:.3g}, at most {most:.3g} was expected): give it unmerged, as a live PeftModel"
        )
    return merged


def _embedding_names(model: PreTrainedModel) -> list[str]:
    """The names of the input and the output embedding's modules."""
    wanted = (model.get_input_embeddings(), model.get_output_embeddings())
    found = {id(module): name for name, module in model.named_modules()}
    return [found[id(module)] for module in wanted if module is not None]


def _saved(names: list[str], file: Path) -> dict[str, str]:
    """Of the embeddings' modules, those whose whole weight the adapter's file holds, with its key there."""
    keys = set(check_safetensors(file))
    return {
        name: key
        for name in names
        for part in ("original_module.weight", "base_layer.weight", "weight")  # the last found is in force
        if (key := f"{_INSIDE}{name}.{part}") in keys
    }


def _resize(model: PreTrainedModel, names: list[str], file: Path, folder: Path) -> None:
    """Give the base as many embedding rows as the adapter was saved with."""
    saved = _saved(names, file)
    with safe_open(file, framework="pt") as opened:
        rows = {int(opened.get_slice(key).get_shape()[0]) for key in saved.values()}
    here = int(_weight(model.get_input_embeddings()).shape[0])
    if not rows or rows == {here}:
        return
    if len(rows) > 1 or (not _tied(model) and len(saved) < len(names)):
        raise UserError(
            f"the adapter {shown(folder)} was saved with {' and '.join(map(str, sorted(rows)))} embedding "
            f"rows in {', '.join(sorted(saved))}, its base has {here}: {' and '.join(names)} were "
            "expected, alike"
        )
    model.resize_token_embeddings(rows.pop(), mean_resizing=False)


def _check_names(adapted: Any, names: list[str], file: Path, folder: Path) -> None:
    from peft import get_peft_model_state_dict

    # PEFT leaves at zero what the file lacks, and only warns. Embeddings can be in it besides; left to
    # itself PEFT would ask the hub whether they should be.
    expected = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    found = set(check_safetensors(file))
    parts = ("weight", "base_layer.weight", "original_module.weight", "modules_to_save.weight")
    besides = {f"{_INSIDE}{name}.{part}" for name in names for part in parts}
    differ = (expected - found) | (found - expected - besides)
    if differ:
        raise UserError(
            f"the weights of the adapter {shown(folder)} do not fit its base: "
            f"{shown(', '.join(sorted(differ)[:3]))}"
        )


def _check_embeddings(adapted: Any, names: list[str], file: Path, folder: Path) -> None:
    """UserError unless the embeddings are those of the file: one shared weight cannot be two that differ."""
    modules = dict(adapted.get_base_model().named_modules())
    with safe_open(file, framework="pt") as opened:
        for name, key in _saved(names, file).items():
            weight = _weight(modules[name])
            if not torch.equal(weight.cpu(), opened.get_tensor(key).to(weight.dtype)):
                raise UserError(
                    f"the adapter {shown(folder)} was saved with a weight of its own for {name}, which in "
                    "its base is the other embedding's too: save the merged model whole, or give a live "
                    "PeftModel"
                )


def _untie(model: Any) -> None:
    """Give each embedding a weight of its own where they share one and an adapter works on either.

    Merged into a shared weight, what is meant for one of them would act in both.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    if ends[1] is None or not any(isinstance(end, BaseTunerLayer) for end in ends) or not _tied(model):
        return
    head: Any = ends[1].get_base_layer() if isinstance(ends[1], BaseTunerLayer) else ends[1]
    head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
    for config in {id(c): c for c in (model.config, model.config.get_text_config(decoder=True))}.values():
        config.tie_word_embeddings = False
    # transformers keeps a list of what is tied, and would tie it again when the model is saved or resized.
    if hasattr(model, "all_tied_weights_keys"):
        model.all_tied_weights_keys = {}


def _tied(model: Any) -> bool:
    head = model.get_output_embeddings()
    return head is not None and _weight(head) is _weight(model.get_input_embeddings())


def _weight(module: Any) -> Tensor:
    """The whole weight in force at a module, whatever PEFT has put around it."""
    from peft.utils import ModulesToSaveWrapper

    if isinstance(module, ModulesToSaveWrapper):
        inner: Any = module.modules_to_save
        module = inner[module.active_adapter]
    weight: Tensor = module.weight
    return weight


def _few_logits(model: Any) -> Tensor:
    """What a model says of a few tokens, from the first of its vocabulary to the last."""
    rows = _weight(model.get_input_embeddings()).shape[0]
    ids = torch.linspace(0, rows - 1, min(8, rows)).long().to(model.device)[None]
    logits: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    return logits.float()
