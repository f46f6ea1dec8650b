"""How likely a model finds each of several continuations of a prompt, under interventions or without."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.batching import batch_logits_on, run_batches
from undertext.activations.branch_text import branches_at
from undertext.activations.branch_tree import Branch
from undertext.activations.branches import score_branches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.forward_texts import forward_texts
from undertext.activations.interventions import Intervention
from undertext.activations.steered_rows import Touched


@dataclass(frozen=True, eq=False)
class ChoiceScores:
    """Scores of each prompt's choices, prompt by prompt."""

    log_probs: list[Float[Tensor, " _"]]
    """Natural log-probability of each choice after its prompt."""
    sizes: list[list[int]]
    """Tokens of each choice that were scored."""
    touched: list[list[Touched]]
    """Where each choice's text was changed; nowhere without interventions."""


def score_choices(
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    choices: Sequence[Sequence[str]],
    interventions: Sequence[Sequence[Intervention]] | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> ChoiceScores:
    """Score `choices[i]`, each as the continuation of `prompts[i]`.

    A choice's tokens are those of prompt and choice as one text. Under interventions each text is read for
    itself: gates act as they would had the model written the choice. `progress` is called with the number of
    prompts scored since its last call.

    Raises:
        UserError: for a prompt without choices, a choice without tokens of its own, a text that does not fit
            the context, and NaN in what was scored.
    """

    @cache  # a sweep asks for the same ones under every setting
    def branches(prompt: str, own: tuple[str, ...]) -> list[Branch]:
        return [branch for choice in own for branch in branches_at(checkpoint, prompt, [len(prompt)], choice)]

    hung = [branches(prompt, tuple(own)) for prompt, own in zip(prompts, choices, strict=True)]
    if not all(hung):
        raise UserError(f"prompt {hung.index([])} has no choices to score")
    sizes = [[len(branch.tokens) - branch.given for branch in own] for own in hung]
    if interventions is None:
        scores = score_branches(checkpoint, list(prompts), hung)
        counts = [len(own) for own in hung]
        if progress is not None:
            progress(len(prompts))
        nowhere = [[Touched(0, 0, 0)] * count for count in counts]
        return ChoiceScores(list(scores.sums.split(counts)), sizes, nowhere)
    trunks = checkpoint.encode(list(prompts))
    owner = [(i, j) for i, own in enumerate(hung) for j in range(len(own))]
    texts = [[*trunks[i][: hung[i][j].at], *hung[i][j].tokens] for i, j in owner]
    checkpoint.encode(texts)
    out = [torch.zeros(len(own)) for own in hung]
    touched = [[Touched(0, 0, 0)] * len(own) for own in hung]

    def run(rows: list[int]) -> None:
        # The last token is predicted, never read.
        some = [texts[row][:-1] for row in rows]
        scored = [sizes[owner[row][0]][owner[row][1]] for row in rows]
        heads = [len(texts[row]) - size for row, size in zip(rows, scored, strict=True)]
        acting = [interventions[owner[row][0]] for row in rows]
        read = forward_texts(checkpoint, some, acting, heads=heads)
        for at, (row, head) in enumerate(zip(rows, heads, strict=True)):
            i, j = owner[row]
            logits = read.logits[at, head - 1 : len(some[at])].float().log_softmax(-1)
            own = torch.tensor(texts[row][head:], device=logits.device)[:, None]
            total = logits.gather(1, own).sum()
            if total.isnan():
                raise UserError(f"{checkpoint.name}: NaN in the scores of the choices of prompt {i}")
            out[i][j], touched[i][j] = total.cpu(), read.touched[at]

    tokens = batch_logits_on(checkpoint.device, checkpoint.d_vocab)
    run_batches([len(text) for text in texts], tokens, run)
    if progress is not None:
        progress(len(prompts))
    return ChoiceScores(out, sizes, touched)


def preferred(
    scores: ChoiceScores, choices: Sequence[Sequence[str]], normalise: str = "none"
) -> list[Float[Tensor, " _"]]:
    """The scores by which choices are compared: as they are, or by token, or by character.

    They are lm-evaluation-harness's `acc` (none) and `acc_norm` (characters).
    """
    if normalise == "none":
        return scores.log_probs
    lengths = (
        scores.sizes if normalise == "tokens" else [[max(1, len(each)) for each in own] for own in choices]
    )
    return [
        log_probs / torch.tensor(own, dtype=log_probs.dtype)
        for log_probs, own in zip(scores.log_probs, lengths, strict=True)
    ]
