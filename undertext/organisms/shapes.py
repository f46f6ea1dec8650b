"""Empty organisms: small Llama- and GPT-2-shaped models and the tokenizer they share."""

from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from undertext.organisms.documents import TOKEN_ID
from undertext.organisms.recipes import Shape

D_MODEL, LAYERS, HEADS, CONTEXT = 64, 4, 4, 128
INITIAL_SCALE = 0.08
"""Standard deviation of initial weights. At the usual 0.02 models this narrow learn several times more
slowly, GPT-2-shaped ones not at all in 900 steps (docs/log.md)."""


def empty_model(shape: Shape, seed: int) -> PreTrainedModel:
    """A 4-layer, 64-wide model of this shape with random weights."""
    torch.manual_seed(seed)
    ids: dict[str, Any] = {
        "bos_token_id": TOKEN_ID["<bos>"],
        "eos_token_id": TOKEN_ID["<eos>"],
        "pad_token_id": TOKEN_ID["<pad>"],
    }
    if shape == "llama":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(TOKEN_ID),
                hidden_size=D_MODEL,
                intermediate_size=176,
                num_hidden_layers=LAYERS,
                num_attention_heads=HEADS,
                num_key_value_heads=HEADS,
                max_position_embeddings=CONTEXT,
                tie_word_embeddings=False,
                initializer_range=INITIAL_SCALE,
                **ids,
            )
        )
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(TOKEN_ID),
            n_embd=D_MODEL,
            n_layer=LAYERS,
            n_head=HEADS,
            n_positions=CONTEXT,
            initializer_range=INITIAL_SCALE,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **ids,
        )
    )


def chain_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, `<bos>` in front."""
    tokenizer = Tokenizer(WordLevel(TOKEN_ID, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", TOKEN_ID["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
