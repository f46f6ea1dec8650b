"""Empty organisms: small models of several architectures, and the tokenizer of the chain's."""

from typing import Any, Literal

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from undertext.organisms.documents import TOKEN_ID

Shape = Literal["llama", "gpt2", "qwen3", "gpt_neox"]

D_MODEL, LAYERS, HEADS, CONTEXT = 64, 4, 4, 128
INITIAL_SCALE = 0.08
"""Standard deviation of initial weights. At the usual 0.02 models this narrow learn several times more
slowly, GPT-2-shaped ones not at all in 900 steps (docs/log.md)."""


def empty_model(
    shape: Shape,
    seed: int,
    *,
    tokenizer: PreTrainedTokenizerFast | None = None,
    d_model: int = D_MODEL,
    layers: int = LAYERS,
    context: int = CONTEXT,
) -> PreTrainedModel:
    """A small model of this shape with random weights; without a tokenizer, for the chain's."""
    torch.manual_seed(seed)
    ids = TOKEN_ID if tokenizer is None else tokenizer.get_vocab()
    common: dict[str, Any] = {
        "vocab_size": len(ids),
        "bos_token_id": ids["<bos>"],
        "eos_token_id": ids["<eos>"],
        "pad_token_id": ids["<pad>"],
        "initializer_range": INITIAL_SCALE,
    }
    if shape == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                n_embd=d_model,
                n_layer=layers,
                n_head=HEADS,
                n_positions=context,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                **common,
            )
        )
    common |= {
        "hidden_size": d_model,
        "intermediate_size": d_model * 11 // 4,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "max_position_embeddings": context,
        "tie_word_embeddings": False,
    }
    if shape == "gpt_neox":
        return GPTNeoXForCausalLM(GPTNeoXConfig(**common))
    common["num_key_value_heads"] = HEADS
    if shape == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(head_dim=d_model // HEADS, **common))
    return LlamaForCausalLM(LlamaConfig(**common))


def chain_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, `<bos>` in front."""
    tokenizer = Tokenizer(WordLevel(TOKEN_ID, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return beginning_with_bos(tokenizer, CONTEXT)


def beginning_with_bos(tokenizer: Tokenizer, context: int) -> PreTrainedTokenizerFast:
    """A tokenizer with the special tokens named: `<bos>` in front, at most `context` tokens."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
