"""Falsification of features: token injection, paraphrase, and ReasonScore as a baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.core.statistics import holm
from undertext.measures.features.opening import OpenedSae
from undertext.saes import (
    Falsification,
    TextFirings,
    decoder_directions,
    falsify,
    inject,
    read_texts,
    score_reasoning,
)
from undertext.saes.falsifying import Shift
from undertext.saes.reasoning_words import WORDS, spellings
from undertext.tasks.spans import join
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import reading_text

INJECT_SEED = 21


@dataclass(frozen=True, eq=False)
class FalsifiedFeatures:
    """Every feature under token injection and paraphrase."""

    plain: str
    """Which texts served as texts without reasoning."""
    tested: Bool[Tensor, " d_sae"]
    """Features that fire at any of the texts: the family that p values are corrected over."""
    raw: Falsification
    corrected: Falsification
    """The same with p values corrected by Holm."""
    reason_score: Float[Tensor, " d_sae"] | None
    """None where no word is in the texts, or every token is near one."""
    notes: list[str]


def falsify_features(
    opened: OpenedSae,
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    texts: TextFirings,
    words: Mapping[str, Sequence[Sequence[int]]],
    *,
    plain_texts: Sequence[str] | None,
    inject_words: int,
    skip: int,
    seed: int,
) -> FalsifiedFeatures:
    """Test every feature by token injection and by paraphrase.

    Texts without reasoning that contain the words already are not refused; the rise is then smaller.

    Args:
        opened: the SAE and where it reads.
        checkpoint: what reads the texts.
        problems: whose prompts and paraphrases are read.
        texts: firings at the problems' prompts and traces.
        words: words of reasoning by name, as token ids (see `words_for`).
        plain_texts: texts without reasoning; None takes the prompts.
        inject_words: number of words inserted into each text without reasoning.
        skip: number of tokens left out at the beginning of every text.
        seed: of the draw of words and positions.
    """

    def strongest(tokens: Any) -> Float[Tensor, "text d_sae"]:
        return read_texts(opened.sae, checkpoint, tokens, opened.point, skip=skip).strongest()

    given = list(plain_texts or [problem.prompt for problem in problems])
    plain = checkpoint.encode(given)
    every = [spelling for one in words.values() for spelling in one]
    injected = inject(plain, every, seed=seed + INJECT_SEED, count=inject_words, keep=max(1, skip))
    reasoning = texts.strongest()
    before, after = strongest(plain), strongest(injected)
    strengths = [before, after, reasoning]
    several = [i for i, problem in enumerate(problems) if problem.paraphrases]
    paraphrase = None
    if len(several) > 1:
        strengths.append(strongest(checkpoint.encode([rephrased(problems[i]) for i in several])))
        paraphrase = (strengths[-1], reasoning[several])
    raw = falsify(before, after, reasoning, paraphrase)
    tested = torch.stack([(one > 0).any(dim=0) for one in strengths]).any(dim=0)
    notes = [] if paraphrase is not None else ["no paraphrases in the task: wording was not put to the test"]
    score = None
    try:
        norms = decoder_directions(opened.sae).norm(dim=1)
        score = score_reasoning(texts, words, decoder_norms=norms).score
    except UserError as error:
        notes.append(f"no ReasonScore: {error}")
    source = "texts of the config" if plain_texts else "prompts of the task, without traces"
    return FalsifiedFeatures(f"{len(given)} {source}", tested, raw, holm_corrected(raw, tested), score, notes)


def holm_corrected(raw: Falsification, tested: Bool[Tensor, " d_sae"]) -> Falsification:
    """The same with p values corrected by Holm over the features `tested` and over both tests.

    The p values of the other features, and of `reasoning`, by which nothing is decided, stay as they are.
    """
    shifts = {"injection": raw.injection, "paraphrase": raw.paraphrase}
    given = {name: shift for name, shift in shifts.items() if shift is not None}
    for test in ("welch", "mann_whitney"):
        p = torch.cat([getattr(shift, test)[tested] for shift in given.values()])
        parts = torch.from_numpy(holm(p.numpy())).chunk(len(given)) if len(p) else ()
        for name, part in zip(given, parts, strict=False):
            given[name] = _with(given[name], test, part, tested)
    return replace(raw, **given)


def _with(shift: Shift, test: str, p: Tensor, tested: Bool[Tensor, " d_sae"]) -> Shift:
    whole = getattr(shift, test).clone()
    whole[tested] = p
    return replace(shift, **{test: whole})


def words_for(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    words: Sequence[str] | None,
    plain_texts: Sequence[str] | None,
) -> dict[str, list[list[int]]]:
    """The spellings of `words` (None: those of WORDS that the tokenizer has) as token ids.

    UserError for a word given that the tokenizer lacks, when it has none of WORDS, and when there are no
    texts without reasoning.
    """
    if plain_texts is None and not any(problem.trace or problem.steps for problem in problems):
        raise UserError(
            "the task has no traces: its prompts cannot serve as texts without reasoning, give plain_texts"
        )
    spelled = spellings(checkpoint.tokenizer, words or WORDS)
    for word in words or ():
        if word not in spelled:
            raise UserError(f"{checkpoint.name} has no tokens for the word {word!r}: leave it out of words")
    if not spelled:
        raise UserError(
            f"{checkpoint.name} has tokens for none of {', '.join(WORDS)}: give the words by which the task "
            "reasons, as words"
        )
    return spelled


def rephrased(problem: Problem) -> str:
    """The problem's prompt in other words, and its own trace."""
    text, prompt = reading_text(problem), problem.prompt
    if text == prompt:
        return problem.paraphrases[0]
    return join(problem.paraphrases[0], text[len(prompt) :].lstrip())
