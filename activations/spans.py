"""From places in text to tokens."""

from collections.abc import Sequence

from activations.checkpoint import Checkpoint
from activations.errors import UserError


def encode_with_spans(checkpoint: Checkpoint, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids of `text`, as in `Checkpoint.encode`, and the characters (start, end) of each.

    A special token put before the text has the span (0, 0). Raises UserError when the tokenizer cannot say
    where its tokens are (only `tokenizers`-backed ones can).
    """
    if not checkpoint.tokenizer.is_fast:
        kind = type(checkpoint.tokenizer).__name__
        raise UserError(
            f"readings inside a text need a fast tokenizer (tokenizer.json); {checkpoint.name} has {kind}"
        )
    encoded = checkpoint.tokenizer(
        text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False
    )
    own = [i for i, special in enumerate(encoded["special_tokens_mask"]) if not special]
    # An end token closes no prompt that is gone on from, so it is left out, as in `Checkpoint.encode`.
    last = own[-1] + 1 if own else 0
    return list(encoded["input_ids"][:last]), list(encoded["offset_mapping"][:last])


def tokens_before(checkpoint: Checkpoint, text: str, offsets: Sequence[int]) -> tuple[list[int], list[int]]:
    """Token ids of `text`, and for each character offset the index of the last token ended by then.

    Whitespace a token takes up does not count, and what the tokenizer puts after the text is no token
    of it. Raises UserError as `encode_with_spans` does, or when no token ends that early.
    """
    ids, spans = encode_with_spans(checkpoint, text)
    ends = [start + len(text[start:end].rstrip()) for start, end in spans]
    found = []
    for offset in offsets:
        before = [i for i, end in enumerate(ends) if end <= offset]
        if not before:
            raise UserError(
                f"{checkpoint.name} has no token that ends by character {offset} of {text[:60]!r}"
            )
        found.append(before[-1])
    return ids, found
