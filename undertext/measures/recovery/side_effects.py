"""What a vector does to text that has nothing to do with the problems it is to help with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.core.terms import FIT
from undertext.measures.recovery.config import SearchConfig
from undertext.steering import Readout, Setting, SteeringVector, on_text
from undertext.tasks.draws import drawn
from undertext.tasks.task import Task

SENTENCES = (
    "The museum opens at nine and closes at five, except on Mondays.",
    "She put the kettle on and looked out at the rain.",
    "Most of the harbour freezes in winter, and the boats are taken ashore.",
    "Bread made with less salt rises faster but tastes of little.",
    "The committee will meet again in the spring to discuss the bridge.",
    "He could not remember where he had left his other glove.",
    "Swallows return to the same barn year after year.",
    "A letter from the bank arrived two weeks after it was sent.",
)
PROMPTS = 32
"""Prompts that are read where no sentence is known."""


@dataclass(frozen=True)
class SideText:
    """Text to read side effects on."""

    source: str
    texts: tuple[str, ...]
    prompts: bool = False
    """Whether they are the task's prompts, as the checkpoint is asked. Other texts want the special tokens
    that the tokenizer puts around a text, whatever form the prompts have."""

    def read_by(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint as it is to read these texts."""
        return checkpoint if self.prompts else replace(checkpoint, special_tokens=True)


@dataclass(frozen=True)
class SideEffects:
    """What steering did to the second half of each text; means over its tokens."""

    source: str
    """What text it was."""
    divergence: float
    """KL(steered || unsteered), nats a token."""
    perplexity: float
    """exp of the mean -log p of the text's tokens, unsteered."""
    perplexity_steered: float
    """exp of the mean -log p of the text's tokens, steered."""
    tokens: int
    """How many tokens were predicted."""
    touched: int
    """At how many tokens something was changed."""


def side_text(checkpoint: Checkpoint, task: Task, config: SearchConfig) -> SideText:
    """The text that the config gives; else sentences that fit and whose words are known; else prompts.

    UserError for a text of the config's that has less than two tokens.
    """
    if config.side_texts is not None:
        short = [text for text in config.side_texts if len(checkpoint.encode([text])[0]) < 2]
        if short or not config.side_texts:
            raise UserError(f"side_texts: expected texts of two tokens or more, got {short or 'none'}")
        return SideText("text of the config", config.side_texts)
    unknown = checkpoint.tokenizer.unk_token_id
    tokens = [checkpoint.tokenizer.encode(text) for text in SENTENCES]
    known = tuple(
        text
        for text, ids in zip(SENTENCES, tokens, strict=True)
        if unknown not in ids and 1 < len(ids) <= checkpoint.n_ctx
    )
    if known:
        return SideText("plain sentences", known)
    prompts = [problem.prompt for problem in drawn(task.split(FIT), config.seed, PROMPTS)]
    long = tuple(text for text in prompts if len(checkpoint.encode([text])[0]) > 1)
    return SideText(f"prompts of {FIT}", long, prompts=True)


def side_effects(
    checkpoint: Checkpoint,
    text: SideText,
    setting: Setting,
    vectors: Sequence[SteeringVector],
    thresholds: Mapping[str, Readout] | None = None,
) -> SideEffects | None:
    """Read the texts with a setting and without; None where there is no text.

    A setting that acts at a token of the prompt which the first half of a text does not have leaves
    that text out.
    """
    at = setting.gate.at
    room = max((abs(index) for index in at), default=0) if isinstance(at, tuple) else 1
    encoded = [ids for ids in text.read_by(checkpoint).encode(text.texts) if len(ids) // 2 >= max(room, 1)]
    if not encoded:
        return None
    read = on_text(checkpoint, encoded, setting, vectors, thresholds=thresholds)
    return SideEffects(
        text.source,
        float(read.divergence.mean()),
        exp(min(700.0, float(read.unsteered.mean()))),
        exp(min(700.0, float(read.steered.mean()))),
        len(read.texts),
        read.touched,
    )
