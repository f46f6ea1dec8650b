"""Tiny random models and tokenizers, made on the spot and saved as real Hugging Face folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    PhiConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from undertext.activations.quiet import quiet

Shape = Literal["llama", "gpt2", "qwen2"]
SHAPES: tuple[Shape, ...] = ("llama", "gpt2", "qwen2")
Family = Literal["gpt2", "pythia", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi", "mixtral"]
FAMILIES: tuple[Family, ...] = get_args(Family)
SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
WORDS = (*"abcdefghijklmnop", *map(str, range(10)), *"=+*;:?", "find", "so", "answer")
TEXTS = (
    "Q: 3 + 4 = ?\nA: 7\n",
    "Let x = 12; then x * 2 is 24, so the answer is 24.",
    "The quick brown fox thinks, then doubts, then answers.",
)


def word_tokenizer(words: tuple[str, ...] = WORDS) -> PreTrainedTokenizerFast:
    """One token for each word between spaces, <bos> before every text."""
    vocabulary = {word: i for i, word in enumerate((*SPECIAL.values(), "<unk>", *words))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", **SPECIAL)


def byte_tokenizer(texts: tuple[str, ...] = TEXTS, size: int = 320) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on a few texts; it adds no special tokens of its own."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, **SPECIAL)


def tiny_config(
    shape: Shape, d_vocab: int, *, n_layers: int = 3, d_model: int = 32, n_ctx: int = 64
) -> PreTrainedConfig:
    """The smallest config of a shape that is still like it: four heads, two of keys where it groups them."""
    ends: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if shape == "gpt2":
        return GPT2Config(
            vocab_size=d_vocab, n_embd=d_model, n_layer=n_layers, n_head=4, n_positions=n_ctx, **ends
        )
    kind = {"llama": LlamaConfig, "qwen2": Qwen2Config}[shape]
    return kind(
        vocab_size=d_vocab,
        hidden_size=d_model,
        intermediate_size=2 * d_model,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=n_ctx,
        **ends,
    )


def family_config(family: Family, d_vocab: int) -> PreTrainedConfig:
    """The smallest config that still has what sets a family apart.

    A window of four tokens where the family has windows; heads wider than d_model / n_heads where it
    says how wide they are; four experts, two for each token.
    """
    window: dict[str, Any] = {"sliding_window": 4}
    wide: dict[str, Any] = {"head_dim": 12}
    mixed: dict[str, Any] = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    kinds: dict[str, tuple[Callable[..., PreTrainedConfig], dict[str, Any]]] = {
        "pythia": (GPTNeoXConfig, {}),
        "mistral": (MistralConfig, window),
        "qwen3": (Qwen3Config, wide),
        "gemma2": (Gemma2Config, {**window, **wide, **mixed}),
        "gemma3": (Gemma3TextConfig, {**window, **wide, **mixed}),
        "phi": (PhiConfig, {}),
        "mixtral": (MixtralConfig, {"num_local_experts": 4, "num_experts_per_tok": 2}),
    }
    if family == "gpt2" or family == "llama" or family == "qwen2":
        return tiny_config(family, d_vocab)
    kind, own = kinds[family]
    shared = tiny_config("llama", d_vocab).to_dict()
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    ends = ("max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")
    grouped: dict[str, Any] = {} if family == "pythia" else {"num_key_value_heads": 2}
    return kind(**{name: shared[name] for name in (*names, *ends)}, **grouped, **own)


def family_folder(folder: Path, family: Family) -> Path:
    """A saved random model of a family with a byte-level tokenizer, trained on a few texts."""
    tokenizer = byte_tokenizer()
    return save_folder(folder, random_model(family_config(family, len(tokenizer))), tokenizer)


def random_model(config: PreTrainedConfig, seed: int = 0) -> PreTrainedModel:
    """A model with random weights, all large enough that no two logits nearly tie."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn(parameter.shape))
    return model


def tiny_model(shape: Shape, d_vocab: int, *, seed: int = 0, **sizes: int) -> PreTrainedModel:
    """A random model of a shape; `sizes` are those of `tiny_config`."""
    return random_model(tiny_config(shape, d_vocab, **sizes), seed)


def embedding(model: Any) -> torch.nn.Parameter:
    """The weights [d_vocab, d_model] by which a model reads its tokens."""
    weight: torch.nn.Parameter = model.get_input_embeddings().weight
    return weight


def save_folder(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Save both as an ordinary Hugging Face folder (safetensors)."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def tiny_folder(folder: Path, shape: Shape = "llama", *, seed: int = 0, **sizes: int) -> Path:
    """A saved random model with the word-level tokenizer."""
    tokenizer = word_tokenizer()
    return save_folder(folder, tiny_model(shape, len(tokenizer), seed=seed, **sizes), tokenizer)
