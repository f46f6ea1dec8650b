"""What candidates go through: words put where there is no reasoning, other words, ReasonScore."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.measures.features.opening import Opened
from undertext.measures.features.rule import corrected
from undertext.saes import (
    Falsification,
    TextFirings,
    decoder_directions,
    inject,
    read_texts,
    score_reasoning,
    shift,
)
from undertext.tasks.spans import join
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import reading_text

WORDS = (
    "wait",
    "but",
    "so",
    "because",
    "therefore",
    "thus",
    "hence",
    "then",
    "however",
    "alternatively",
    "maybe",
    "perhaps",
    "hmm",
    "let",
    "check",
    "first",
    "next",
    "finally",
)
"""Words by which English says that it reasons; those that a tokenizer lacks are left out."""
INJECT_SEED = 21


@dataclass(frozen=True, eq=False)
class Trials:
    """How every feature came through."""

    words: Mapping[str, list[list[int]]]
    """The words that were put in, with their spellings as token ids."""
    plain: str
    """What the texts without reasoning were."""
    tested: Bool[Tensor, " d_sae"]
    """Features that fire at any of the texts: the family that p values are corrected over."""
    raw: Falsification
    corrected: Falsification
    """The same with Holm's p values."""
    reason_score: Float[Tensor, " d_sae"] | None
    """None where no word is in the texts, or every token is near one."""
    notes: list[str]


def undergo(
    opened: Opened,
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    read: TextFirings,
    words: Mapping[str, list[list[int]]],
    config: FeaturesConfig,
) -> Trials:
    """Put every feature on trial.

    `read` is the problems' texts, prompt and trace, as they were read, `words` are those of `words_for`.

    Texts without reasoning that hold the words already are not refused; the rise is then smaller.
    """
    own = config.plain_texts is not None
    texts = list(config.plain_texts or [problem.prompt for problem in problems])
    plain = checkpoint.encode(texts)
    every = [spelling for each in words.values() for spelling in each]
    injected = inject(
        plain, every, seed=config.seed + INJECT_SEED, count=config.inject, keep=max(1, config.skip)
    )
    rephrased = [(i, p) for i, p in enumerate(problems) if p.paraphrases]
    strengths = {
        "plain": _strongest(opened, checkpoint, plain, config),
        "injected": _strongest(opened, checkpoint, injected, config),
        "reasoning": read.strongest(),
    }
    paraphrase = None
    if len(rephrased) > 1:
        others = [_rephrased(problem) for _, problem in rephrased]
        theirs = _strongest(opened, checkpoint, checkpoint.encode(others), config)
        strengths["paraphrased"] = theirs
        paraphrase = shift(theirs, strengths["reasoning"][[i for i, _ in rephrased]])
    raw = Falsification(
        shift(strengths["plain"], strengths["injected"]),
        shift(strengths["plain"], strengths["reasoning"]),
        paraphrase,
    )
    tested = torch.stack([(each > 0).any(dim=0) for each in strengths.values()]).any(dim=0)
    notes = [] if paraphrase is not None else ["no paraphrases in the task: wording was not put to the test"]
    score = None
    try:
        norms = decoder_directions(opened.sae).norm(dim=1)
        score = score_reasoning(read, words, decoder_norms=norms).score
    except UserError as error:
        notes.append(f"no ReasonScore: {error}")
    source = (
        f"{len(texts)} texts of the config" if own else f"{len(texts)} prompts of the task, without traces"
    )
    return Trials(words, source, tested, raw, corrected(raw, tested), score, notes)


def words_for(
    checkpoint: Checkpoint, problems: Sequence[Problem], config: FeaturesConfig
) -> dict[str, list[list[int]]]:
    """The words of `spellings`; UserError as it, and when there are no texts without reasoning."""
    if config.plain_texts is None and not any(problem.trace or problem.steps for problem in problems):
        raise UserError(
            "the task has no traces: its prompts cannot serve as texts without reasoning, give plain_texts"
        )
    return spellings(checkpoint, config.words)


def spellings(checkpoint: Checkpoint, wanted: Sequence[str] | None) -> dict[str, list[list[int]]]:
    """Each word's spellings as token ids: with and without a space before it, small and capital.

    UserError when the tokenizer has none of the words, and for one of the config's that it lacks.
    """
    found = {}
    for word in wanted or WORDS:
        ways = {w: None for each in (word, word.capitalize()) for w in (each, f" {each}")}
        ids = [each for way in ways if (each := _known(checkpoint, way)) is not None]
        if ids:
            found[word] = [list(each) for each in dict.fromkeys(map(tuple, ids))]
        elif wanted:
            raise UserError(f"{checkpoint.name} has no tokens for the word {word!r}: leave it out of words")
    if not found:
        raise UserError(
            f"{checkpoint.name} has tokens for none of {', '.join(WORDS)}: give the words by which the task "
            "reasons, as words"
        )
    return found


def _known(checkpoint: Checkpoint, way: str) -> list[int] | None:
    try:
        ids: list[int] = checkpoint.tokenizer.encode(way, add_special_tokens=False, verbose=False)
    except Exception:  # the tokenizers library raises bare ones for a word that it lacks
        return None
    if not ids or checkpoint.tokenizer.unk_token_id in ids:
        return None
    return ids if checkpoint.decode(ids).strip() == way.strip() else None


def _strongest(
    opened: Opened, checkpoint: Checkpoint, texts: Any, config: FeaturesConfig
) -> Float[Tensor, "text d_sae"]:
    return read_texts(opened.sae, checkpoint, texts, opened.point, skip=config.skip).strongest()


def _rephrased(problem: Problem) -> str:
    text, prompt = reading_text(problem), problem.prompt
    return (
        join(problem.paraphrases[0], text[len(prompt) :].lstrip())
        if text != prompt
        else problem.paraphrases[0]
    )
