"""Tiny random models of many families, and the slow and obvious way to score a branch."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from tests.toys import random_model, word_tokenizer
from undertext.activations import Branch, Checkpoint

TOKENIZER = word_tokenizer()
D_VOCAB = len(TOKENIZER)
N_CTX = 64
WINDOW = 5
"""Shorter than most trunks of the tests."""

_SIZES: dict[str, Any] = {
    "vocab_size": D_VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": N_CTX,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_MIXED = ["sliding_attention", "full_attention", "sliding_attention"]


def config(family: str) -> PreTrainedConfig:
    """The tiny config of a family."""
    gpt2: dict[str, Any] = {
        "vocab_size": D_VOCAB,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": N_CTX,
    }
    ends: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2}
    makers = {
        "gpt2": lambda: GPT2Config(**gpt2, **ends),
        "neox": lambda: GPTNeoXConfig(**_SIZES),
        "llama": lambda: LlamaConfig(**_SIZES),
        "mistral": lambda: MistralConfig(**_SIZES, head_dim=8, sliding_window=WINDOW),
        "mistral_full": lambda: MistralConfig(**_SIZES, head_dim=8, sliding_window=None),
        "qwen2": lambda: Qwen2Config(**_SIZES),
        "qwen2_mixed": lambda: Qwen2Config(
            **_SIZES, use_sliding_window=True, sliding_window=WINDOW, layer_types=_MIXED
        ),
        "qwen3": lambda: Qwen3Config(**_SIZES, head_dim=8),
        "gemma2": lambda: Gemma2Config(
            **_SIZES, head_dim=8, sliding_window=WINDOW, attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0, query_pre_attn_scalar=8,
        ),
        "gemma3": lambda: Gemma3TextConfig(
            **_SIZES, head_dim=8, sliding_window=WINDOW, layer_types=_MIXED, query_pre_attn_scalar=8
        ),
        "phi": lambda: PhiConfig(**_SIZES),
        "mixtral": lambda: MixtralConfig(
            **_SIZES, num_local_experts=4, num_experts_per_tok=2, sliding_window=None
        ),
        "mixtral_window": lambda: MixtralConfig(
            **_SIZES, num_local_experts=4, num_experts_per_tok=2, sliding_window=WINDOW
        ),
        # Those below cannot share a trunk, each for a reason of its own.
        "bloom": lambda: BloomConfig(vocab_size=D_VOCAB, hidden_size=32, n_layer=3, n_head=4, **ends),
        "mamba": lambda: MambaConfig(
            vocab_size=D_VOCAB, hidden_size=32, num_hidden_layers=2, state_size=4, **ends
        ),
        "gpt_neo": lambda: GPTNeoConfig(
            vocab_size=D_VOCAB, hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=N_CTX,
            attention_types=[[["global", "local"], 1]], window_size=WINDOW, **ends,
        ),
        "phi3_long": lambda: Phi3Config(
            **_SIZES, original_max_position_embeddings=16,
            rope_parameters={
                "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4,
                "long_factor": [4.0, 3.0, 2.0, 1.5], "original_max_position_embeddings": 16,
            },
        ),
    }  # fmt: skip
    return makers[family]()


SHARING = (
    "gpt2", "neox", "llama", "mistral", "mistral_full", "qwen2", "qwen2_mixed", "qwen3", "gemma2", "gemma3",
    "phi", "mixtral", "mixtral_window",
)  # fmt: skip
"""Families whose branches can share a trunk."""


def load(
    family: str | PreTrainedConfig, *, attention: str | None = None, dtype: torch.dtype = torch.float32
) -> Checkpoint:
    """A checkpoint of a family or a config, with random weights."""
    model: Any = random_model(config(family) if isinstance(family, str) else family)
    model.to(dtype)
    model.config.architectures = [type(model).__name__]  # as a saved folder says
    if attention is not None:
        model.set_attn_implementation(attention)
    return Checkpoint.load(model, tokenizer=TOKENIZER)


def score_one(checkpoint: Checkpoint, trunk: Sequence[int], branch: Branch) -> Tensor:
    """The log-probabilities of one branch's scored tokens, from all logits of its text on its own."""
    text = [*trunk[: branch.at], *branch.tokens]
    with torch.no_grad():
        logits = checkpoint.model(input_ids=torch.tensor([text])).logits[0].float()
    values = torch.log_softmax(logits, dim=-1)
    first = branch.at + branch.given
    return torch.stack([values[i - 1, text[i]] for i in range(first, len(text))])


def score_each(
    checkpoint: Checkpoint, trunks: Sequence[Sequence[int]], branches: Sequence[Sequence[Branch]]
) -> Tensor:
    """The same of all branches, one after the other."""
    return torch.cat(
        [score_one(checkpoint, trunk, b) for trunk, hung in zip(trunks, branches, strict=True) for b in hung]
    )
