"""A model made by hand whose answer depends on one direction, and the same without it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from tests.toys import word_tokenizer
from undertext.activations import Checkpoint, HookPoint, capture

DIGITS = tuple(map(str, range(10)))
WIDTH = 128
NEUTRAL = [f"so {'so ' * (k % 3)}{k}" for k in range(10)]
"""The answer to prompt k is k; a planted model says "?" to them."""


class Planted(NamedTuple):
    """The model and its direction."""

    checkpoint: Checkpoint
    switch: Tensor
    """[d_model], length 1."""


def planted(*, switch: bool = True, opened: bool = False) -> Planted:
    """A Llama of two blocks that says a prompt's last digit after `think`, and "?" after `guess` or neither.

    The logit of "?" falls along one direction, which block 0 brings from the style word to later tokens by
    attending evenly. Without `switch` it does not fall, and the digit is not known either. `opened` has the
    direction in every digit.
    """
    tokenizer = word_tokenizer((*DIGITS, "?", "so", "think", "guess"))
    ids = tokenizer.get_vocab()
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0)))[0]
    constant, along = basis[10], basis[11]
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        reads, says = model.model.embed_tokens.weight, model.lm_head.weight
        reads[:] = constant
        for k, digit in enumerate(DIGITS):
            reads[ids[digit]] += basis[k] + along * opened
            says[ids[digit]] = basis[k if switch else 12 + k]
        reads[ids["think"]] += 3 * along
        reads[ids["guess"]] -= 3 * along
        says[ids["?"]] = 2 * constant - 3 * along * switch
        attention = model.model.layers[0].self_attn
        attention.v_proj.weight[0] = along
        attention.o_proj.weight[:, 0] = 0.8 * along
    return Planted(Checkpoint.load(model, tokenizer=tokenizer), along)


def styled(style: str) -> list[str]:
    """The prompts under a style word."""
    return [f"{style} {prompt}" for prompt in NEUTRAL]


def at_end(checkpoint: Checkpoint, prompts: list[str]) -> Tensor:
    """Residuals after each block at each prompt's last token, [layer, n, d_model]."""
    points = [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]
    return capture(checkpoint, prompts, points).activations


def right(i: int, text: str, cut: bool = False) -> tuple[bool, bool]:
    """Strictly: the digit alone. Leniently: it is the first word."""
    return text.split() == [str(i)], text.split()[:1] == [str(i)]
