"""CoT-decoding: what else the weights would have said, had the first token been another.

Wang and Zhou, arXiv 2402.10200: branch on the first token, write each branch on greedily, and trust the
answer that was written with the widest margin between the likeliest and the second likeliest token.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.next_tokens import next_tokens

FindAnswer = Callable[[str, bool], tuple[int, int] | None]
"""From what was written, and whether that was cut at `max_new_tokens`: the characters of the answer in it
(from, up to), or None when there is none."""


@dataclass(frozen=True)
class CoTDecoding:
    """Every branch of every prompt, by the rank of its first token."""

    texts: list[list[str]]
    """What was written, the first token included."""
    answers: list[list[str | None]]
    """The answer found in each; None where there is none."""
    cut: list[list[bool]]
    """Whether each was cut at `max_new_tokens`."""
    margins: Float[Tensor, "prompt branch"]
    """Mean over the answer's tokens of p(likeliest) - p(second likeliest); 0 where there is no answer."""
    written: int
    """Tokens generated in all, the first ones included."""

    def by_max(self) -> list[int]:
        """For each prompt, the branch whose answer has the widest margin; 0, greedy, where none has one."""
        return [int(row.argmax()) for row in self.margins]

    def by_sum(self) -> list[int]:
        """For each prompt, the widest branch among those of the answer whose margins sum to the most."""
        chosen = []
        for answers, margins in zip(self.answers, self.margins.tolist(), strict=True):
            total: defaultdict[str, float] = defaultdict(float)
            for answer, margin in zip(answers, margins, strict=True):
                if answer is not None:
                    total[answer] += margin
            best = max(total, key=total.__getitem__, default=None)
            ranks = [rank for rank, answer in enumerate(answers) if answer == best and best is not None]
            chosen.append(max(ranks, key=lambda rank: margins[rank], default=0))
        return chosen


def cot_decode(
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    find_answer: FindAnswer,
    *,
    max_new_tokens: int,
    k: int = 10,
    stop: Sequence[str] = (),
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> CoTDecoding:
    """Write `k` branches of each prompt; branch 0 is greedy decoding. Deterministic, and nothing is trained.

    `max_new_tokens` counts the first token too. Raises UserError as `next_tokens` and `generate`.
    """
    encoded = checkpoint.encode(prompts, room=max_new_tokens)
    first = next_tokens(checkpoint, encoded, k)
    out = generate(
        checkpoint,
        [ids for ids in encoded for _ in range(k)],
        max_new_tokens=max_new_tokens,
        stop=stop,
        openings=first.ids.flatten().tolist(),
        margins=True,
        batch_size=batch_size,
        progress=progress,
    )
    assert out.margins is not None
    answers: list[str | None] = []
    margins = torch.zeros(len(out.texts))
    rows = zip(out.texts, out.tokens, out.cut, out.margins, strict=True)
    for row, (text, tokens, cut, widths) in enumerate(rows):
        span = find_answer(text, cut)
        answers.append(None if span is None else text[slice(*span)])
        if span is not None:
            held = _tokens_in(checkpoint, tokens, *span)
            # An answer may stand in the beginning of a token that also holds a stop string: it is not kept.
            margins[row] = sum(widths[i] for i in held) / len(held) if held else 0.0
    return CoTDecoding(
        [out.texts[i : i + k] for i in range(0, len(out.texts), k)],
        [answers[i : i + k] for i in range(0, len(answers), k)],
        [out.cut[i : i + k] for i in range(0, len(answers), k)],
        margins.reshape(-1, k),
        sum(map(len, out.tokens)),
    )


def _tokens_in(checkpoint: Checkpoint, tokens: Sequence[int], start: int, end: int) -> list[int]:
    """Indices of the tokens that hold any of these characters of their text."""
    ends = [len(checkpoint.decode(tokens[: i + 1])) for i in range(len(tokens))]
    return [i for i, upto in enumerate(ends) if upto > start and (ends[i - 1] if i else 0) < end]
