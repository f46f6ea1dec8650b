"""Reading given text, each text with its own interventions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.batching import pad_right
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.groups import Part
from undertext.activations.hooks import hooked
from undertext.activations.interventions import Intervention
from undertext.activations.rope import sides
from undertext.activations.steered_rows import Row, SteeredRows, Touched, check_interventions


@dataclass(frozen=True, eq=False)
class ForwardTexts:
    """What was predicted at every token of the texts."""

    logits: Float[Tensor, "text position d_vocab"]
    """Of the next token, on the checkpoint's device. Texts stand on the left; what is to their right means
    nothing."""
    touched: list[Touched]
    """Where each text was changed. Its last token is read too, though nothing of the text depends on it."""


@torch.inference_mode()
def forward_texts(
    checkpoint: Checkpoint,
    texts: Sequence[Sequence[int]],
    interventions: Sequence[Intervention | Sequence[Intervention] | None] | None = None,
    *,
    heads: Sequence[int] | None = None,
) -> ForwardTexts:
    """Read token ids in one pass, under the interventions that `generate` takes.

    A text's first tokens stand for the prompt and the others for what is generated after it, so that gates
    act as they would have if the model had written the text.

    Args:
        checkpoint: what reads.
        texts: token ids; how many fit in memory together is the caller's concern (`run_batches`).
        interventions: for each text one, several, or None.
        heads: how many tokens of each text are its prompt; None takes all.

    Raises:
        UserError: for no texts or an empty one, one that does not fit the context, an intervention that the
            model has no place for, and a head that is not 1 to the text's length.
        RuntimeError: when interventions were not asked at exactly the tokens they were to act at.
    """
    if not texts:
        raise UserError("expected texts to read, got none")
    encoded = checkpoint.encode(texts)
    lengths = [len(ids) for ids in encoded]
    starts = lengths if heads is None else list(heads)
    if len(starts) != len(lengths):
        raise UserError(f"expected a head for each of {len(lengths)} texts, got {len(starts)}")
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        if not 1 <= start <= length:
            raise UserError(f"text {row} has {length} tokens, of which {start} cannot be its prompt")
    prompts = [ids[:start] for ids, start in zip(encoded, starts, strict=True)]
    given = [None] * len(encoded) if interventions is None else interventions
    acting = check_interventions(checkpoint, given, prompts)
    across = sides(checkpoint, lengths)
    parts = [[row for row, side in enumerate(across) if side == each] for each in sorted(set(across))]
    if len(parts) == 1:
        return _read(checkpoint, encoded, starts, acting)
    # Texts on the two sides of a rope's switch are read apart, each as it would be alone.
    logits, touched = torch.empty(0), [Touched(0, 0, 0)] * len(encoded)
    for rows in parts:
        found = _read(
            checkpoint, [encoded[r] for r in rows], [starts[r] for r in rows], [acting[r] for r in rows]
        )
        if not len(logits):
            logits = found.logits.new_zeros(len(encoded), max(lengths), found.logits.shape[-1])
        logits[rows, : found.logits.shape[1]] = found.logits
        for row, where in zip(rows, found.touched, strict=True):
            touched[row] = where
    return ForwardTexts(logits, touched)


def _read(
    checkpoint: Checkpoint, texts: Sequence[list[int]], starts: Sequence[int], acting: Sequence[Row]
) -> ForwardTexts:
    lengths = [len(ids) for ids in texts]
    prompts = [ids[:start] for ids, start in zip(texts, starts, strict=True)]
    steered = SteeredRows(checkpoint, acting, prompts, lambda row: texts[row][starts[row] :])
    ids, rows = pad_right(texts, checkpoint.device), range(len(texts))
    with hooked(checkpoint, steered.hooks):
        first = torch.zeros(len(texts), dtype=torch.long)
        steered.begin(Part(ids, tuple(rows), first, torch.tensor(lengths)))
        logits = checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        steered.end(rows, rows)
    touched = steered.audit({row: lengths[row] - starts[row] for row in rows})
    return ForwardTexts(logits, list(touched.values()))
