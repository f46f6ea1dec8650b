"""What a model would write first."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.batching import batch_tokens_on, pad_right, run_batches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import is_whole
from undertext.activations.errors import UserError
from undertext.activations.hooks import logits_only_at
from undertext.activations.rope import sides
from undertext.activations.sampling import some_rows


@dataclass(frozen=True)
class NextTokens:
    """The likeliest tokens after each prompt, likeliest first."""

    ids: Int[Tensor, "prompt k"]
    log_probs: Float[Tensor, "prompt k"]
    """float32, on the CPU."""


@torch.inference_mode()
def next_tokens(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    k: int,
    *,
    batch_tokens: int | None = None,
) -> NextTokens:
    """The `k` likeliest tokens after each prompt, in one pass; a batch that does not fit in memory is split.

    Raises:
        UserError: when `k` is not 1 to the vocabulary's size, for a prompt that fits neither context nor
            memory, and for NaN in its logits.
    """
    if not is_whole(k) or not 1 <= k <= checkpoint.d_vocab:
        raise UserError(f"k must be 1 to {checkpoint.d_vocab}, the size of the vocabulary, got {k}")
    encoded = checkpoint.encode(prompts)
    ids = torch.empty(len(encoded), k, dtype=torch.long)
    log_probs = torch.empty(len(encoded), k)

    def run(batch: list[int]) -> None:
        those = [encoded[index] for index in batch]
        tokens = pad_right(those, checkpoint.device)
        rows = torch.arange(len(those), device=checkpoint.device)
        last = torch.tensor([len(row) - 1 for row in those], device=checkpoint.device)
        with logits_only_at(checkpoint, rows, last):
            logits = checkpoint.model(
                input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False
            ).logits[0]
        if (wrong := logits.isnan().any(dim=-1)).any():
            raise UserError(
                f"{checkpoint.name}: NaN in the logits of prompt {batch[int(wrong.nonzero()[0])]}"
            )
        parts = [some.float().log_softmax(dim=-1).topk(k) for some in some_rows(logits)]
        ids[batch] = torch.cat([top.indices for top in parts]).cpu()
        log_probs[batch] = torch.cat([top.values for top in parts]).cpu()

    tokens = batch_tokens_on(checkpoint.device) if batch_tokens is None else batch_tokens
    lengths = [len(row) for row in encoded]
    run_batches(lengths, tokens, run, kinds=sides(checkpoint, lengths))
    return NextTokens(ids, log_probs)
