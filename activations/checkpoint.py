"""A checkpoint: a Hugging Face causal language model, its tokenizer, and where its activations pass."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from peft import PeftModel
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module, detect_tokenizer_bos_eos
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from undertext.activations.adapted import inner_model
from undertext.activations.checks import check_dtype, token_ids
from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line
from undertext.activations.fingerprint import fingerprint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.layout import Layout, build_layout, select_adapter
from undertext.activations.placement import Device, check_placed, parse_placement
from undertext.activations.quiet import quiet
from undertext.activations.sources import (
    Options,
    chain,
    files_of,
    load_model,
    quantised,
    tokenizer_for,
    tokenizer_of,
)
from undertext.activations.vocabulary import Added, check_tokenizer
from undertext.activations.weights import Room, Source, Weights

Model = PreTrainedModel | PeftModel | TransformerBridge
CheckpointSource = str | Path | Model | tuple[Model, PreTrainedTokenizerBase]
"""What a checkpoint is loaded from: a folder or hub id, or a model that is already there, alone or with its
tokenizer."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One model, checked when it was loaded. Build it with `Checkpoint.load`.

    The model is Hugging Face's own module in eval mode, as fast as without this package; hooks go
    on its submodules through `activations.hooks` and are gone afterwards.
    """

    weights: Weights = field(repr=False)
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    name: str
    """The source as it was given."""
    layout: Layout = field(repr=False)
    source_bridge: TransformerBridge | None = field(default=None, repr=False)
    """The bridge this was loaded from, if it was."""
    special_tokens: bool = field(default=True, repr=False)
    """Whether the tokenizer puts special tokens around a text. Not so where texts have their own in them, as
    rendered chat templates do: then a text is read as `apply_chat_template` would have it read."""
    notes: tuple[str, ...] = field(default=(), repr=False)
    """What a reader of its figures must know of how it was loaded: which base an adapter was merged into."""

    @classmethod
    def load(
        cls,
        source: CheckpointSource,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        device: Device = "cpu",
        dtype: torch.dtype | Literal["auto"] = torch.float32,
        trust_remote_code: bool = False,
        revision: str | None = None,
        base: str | Path | PreTrainedModel | None = None,
        room: Room | None = None,
    ) -> "Checkpoint":
        """Load a folder, a PEFT adapter's folder, a hub id, a live model, PEFT model or bridge.

        A hub id may name its revision, a branch, tag or commit: `owner/name@step1000` is the same as
        `owner/name` with `revision="step1000"`.

        Only safetensors are read. An adapter that is read is merged into its base; that of a live
        PEFT model stays as it is, at work and unmerged. What is live is put in eval mode and otherwise
        used as it is, where it is, at its own precision: `device`, `dtype`, `trust_remote_code` and
        `revision` are for sources that are read. A live model given alone has the tokenizer of the folder
        it was loaded from, or of the hub's cache.

        `device` is one device, or a way of accelerate's to spread a model over all devices that there are
        (auto, balanced, balanced_low_0, sequential), or a map from the names of modules to devices. Every
        weight must find a place on a device: none is fetched from disk or main memory in each pass.

        A checkpoint that is stored quantised is read as it is, by transformers and the package that its
        format needs (bitsandbytes, GPTQ, ..); `notes` say so.

        `dtype` "auto" reads weights at the precision that the checkpoint says (config.json, or else its first
        tensor).

        `base` is for an adapter whose own base is not the folder that it names (training wrote down a path
        of another machine, say): a folder, a hub id, or a live model, which is copied. It is what the
        adapter is merged into, and `notes` say so.

        Checkpoints that are loaded with one `room` share it: the weights of one are in memory at a time, and
        are read again when they are used after another's. That is for sources that are read, and not
        quantised; live models stay.

        Raises:
            UserError: in one line, when anything about the source is not as it must be.
        """
        if isinstance(source, tuple) and len(source) == 2:
            source, tokenizer = source
        bridge = source if isinstance(source, TransformerBridge) else None
        words = tokenizer
        notes: list[str] = []
        files: list[Path] = []
        again = read_from = None
        if isinstance(source, TransformerBridge | PreTrainedModel | PeftModel):
            model: Any = source if bridge is None else bridge.original_model
            name = str(getattr(model.config, "name_or_path", "") or type(model).__name__)
            if isinstance(source, PeftModel):
                name = f"{name} with adapter {source.active_adapter}"
                model = inner_model(source, name)
            if words is None and bridge is not None:
                words = bridge.tokenizer
            if words is None:
                words = tokenizer_of(model)
        elif isinstance(source, str | Path):
            name = str(source)
            if dtype != "auto":
                check_dtype("dtype", dtype)
            options = Options(parse_placement(device), dtype, trust_remote_code, revision)
            links = chain(source, options, base)
            notes += links.notes
            if room is not None:
                room.clear()
            model = load_model(links)
            files = files_of(links)
            if not isinstance(links.whole, PreTrainedModel):
                beside = _full(base) if isinstance(base, str | Path) else None
                read_from = Source(
                    _full(source), dtype, trust_remote_code, revision, beside, room is not None
                )
            if room is not None and not isinstance(links.whole, PreTrainedModel):
                again = partial(load_model, links)
            words = tokenizer_for(links) if words is None else words
        else:
            raise UserError(
                "a checkpoint is loaded from a folder, a hub id, a PreTrainedModel, a PeftModel or "
                f"a TransformerBridge, alone or as (model, tokenizer), not from a {type(source).__name__}"
            )
        adapter = select_adapter(model, name) if bridge is None else bridge.adapter
        check_placed(model, name)
        quantisation = quantised(model, name)
        notes += quantisation
        layout = build_layout(model, adapter, name)
        check_tokenizer(words, layout.d_vocab, name)
        if room is None or again is None or quantisation:
            weights = Weights(model.eval())
        else:
            folders = [each for each in (*links.adapters, links.whole) if isinstance(each, Path)]
            weights = Weights(model.eval(), again, folders)
            weights.share(room)
        weights.source = read_from
        weights.files = [] if quantisation else files
        return cls(weights, words, name, layout, bridge, notes=tuple(notes))

    @property
    def model(self) -> PreTrainedModel:
        """The model, its weights read again where they had made room for another's (`load`)."""
        return self.weights.here()

    @property
    def n_layers(self) -> int:
        """How many blocks the model has."""
        return self.layout.n_layers

    @property
    def d_model(self) -> int:
        """The width of its residual stream."""
        return self.layout.d_model

    @property
    def n_heads(self) -> int:
        """How many query heads each block's attention has."""
        return self.layout.n_heads

    @property
    def d_head(self) -> int:
        """The width of one head's `z` in the first block; it need not be d_model / n_heads."""
        return self.width(HookPoint(0, "z")) // self.n_heads

    def width(self, point: HookPoint) -> int:
        """How many numbers pass at `point` for each token: d_model, or n_heads * d_head for `z`.

        UserError for a `z` that this model does not have.
        """
        return self.layout.width(point)

    @property
    def d_vocab(self) -> int:
        """How many tokens it embeds."""
        return self.layout.d_vocab

    @property
    def n_ctx(self) -> int:
        """How many tokens it can read and write in all."""
        return self.layout.n_ctx

    @property
    def device(self) -> torch.device:
        """Where the model's weights are. Of one on several devices: where its embedding is, and tokens go."""
        return self.weights.modules.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the model's weights."""
        return self.weights.modules.dtype

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over all that the model's forward pass depends on (`activations.fingerprint`).

        Computed once: it does not follow weights that are changed afterwards.
        """
        return fingerprint(self.model)

    def bridge(self) -> TransformerBridge:
        """A TransformerBridge over a copy of the model, for what is written against TransformerLens.

        It attends eagerly, as bridges do, so its values differ from the model's in the last bits.
        """
        if self.source_bridge is not None:
            return copy.deepcopy(self.source_bridge)
        with quiet():
            model = copy.deepcopy(self.model)
            model.set_attn_implementation("eager")
            bridge = build_bridge_from_module(
                model, self.layout.architecture, hf_config=model.config, model_name=self.name
            )
            # Given to the builder, the tokenizer would be loaded anew from its folder by AutoTokenizer,
            # which does not always give the same one (see activations.vocabulary).
            tokenizer = copy.deepcopy(self.tokenizer)
            bridge.cfg.tokenizer_prepends_bos, bridge.cfg.tokenizer_appends_eos = detect_tokenizer_bos_eos(
                tokenizer
            )
            bridge.tokenizer = tokenizer
        return bridge

    def encode(self, prompts: Sequence[str] | Sequence[Sequence[int]], *, room: int = 0) -> list[list[int]]:
        """The token ids of each prompt; prompts that are ids already are checked and passed on.

        `room` is how many tokens will be written after each prompt. What the tokenizer puts before a text is
        not put there twice (a chat template has often written it), and nothing after it.

        Raises:
            UserError: naming the prompt, when one has no tokens, ids that the model does not embed,
                or more tokens than fit the context beside `room`.
        """
        if isinstance(prompts, str):
            raise UserError("expected a list of prompts, got one string: put it in a list")
        if not isinstance(prompts, Sequence | torch.Tensor | np.ndarray):
            raise UserError(f"expected a list of prompts, got {type(prompts).__name__}")
        texts = iter(self._ids([prompt for prompt in prompts if isinstance(prompt, str)]))
        encoded = [
            next(texts) if isinstance(prompt, str) else token_ids(index, prompt)
            for index, prompt in enumerate(prompts)
        ]
        for index, ids in enumerate(encoded):
            if not ids:
                raise UserError(f"{self.name}: prompt {index} ({prompts[index]!r}) has no tokens")
            if min(ids) < 0 or max(ids) >= self.d_vocab:
                bad = next(i for i in ids if not 0 <= i < self.d_vocab)
                raise UserError(
                    f"{self.name}: prompt {index} holds token id {bad}, valid are 0 to {self.d_vocab - 1}"
                )
            if len(ids) + room > self.n_ctx:
                asked = f" and {room} more are to be written" if room else ""
                raise UserError(
                    f"{self.name}: prompt {index} is too long: it has {len(ids)} tokens{asked}, "
                    f"but the model's context is {self.n_ctx}"
                )
        return encoded

    def decode(self, ids: Sequence[int], *, start: bool = True) -> str:
        """The text of token ids, special tokens in it as they are spelt, nothing tidied.

        What the tokenizer puts before every text is left out where `ids` begin with it, so that what
        `encode` gives for a text comes back as that text. Tokens that were generated begin no text
        (`start=False`): there all is shown.
        """
        shown_ids = list(ids)[len(self.added.before) if start and self.added.opens(ids) else 0 :]
        # Tokenizers that are not `tokenizers`-backed set special tokens apart by spaces of their own.
        apart = {} if self.tokenizer.is_fast else {"spaces_between_special_tokens": False}
        return str(
            self.tokenizer.decode(
                shown_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False, **apart
            )
        )

    @cached_property
    def added(self) -> Added:
        """What the tokenizer puts around every text."""
        return Added.by(self.tokenizer) if self.special_tokens else Added((), ())

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, which are told to the tokenizer together: a call by itself takes longer than a
        short text."""
        special = {"add_special_tokens": self.special_tokens, "verbose": False}
        try:
            rows = self.tokenizer(list(texts), **special)["input_ids"] if texts else []
        except Exception as error:
            # The tokenizers library raises bare Exceptions, as for a word outside a vocabulary without <unk>.
            for text in texts:
                try:
                    self.tokenizer.encode(text, **special)
                except Exception as its_own:
                    raise UserError(
                        f"{shown(self.name)}: its tokenizer cannot encode {shown(repr(text))}: "
                        f"{one_line(its_own)}"
                    ) from error
            raise UserError(f"{shown(self.name)}: its tokenizer cannot encode: {one_line(error)}") from error
        return [ids[self.added.kept(ids)] for ids in rows]


def _full(source: str | Path) -> str:
    """A folder by its full path; a hub id as it is."""
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else str(source)
