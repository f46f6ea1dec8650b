"""What reading texts through an SAE or a crosscoder takes, before it is done."""

from collections.abc import Mapping, Sequence

from undertext.activations.checkpoint import Checkpoint
from undertext.core.plan import Work
from undertext.measures.features.config import EncodingConfig
from undertext.measures.features.falsification import INJECT_SEED, rephrased
from undertext.measures.features.labels import tokens_of
from undertext.saes import inject
from undertext.saes.texts import TOKENS
from undertext.tasks.task import Problem, Task

ENCODING = "encoding texts and labels against features"
_FLOAT = 4
"""Bytes of an activation, or of a feature's strength, that is kept."""
_ALIVE_AT_ONCE = 4
"""Copies of the strongest firings by text, which tests compare, that are in memory together."""
_ENCODED = 4
"""Copies of the strengths of all latents at the tokens of a batch that encoding takes."""


def encoding_work(
    stage: str,
    checkpoint: Checkpoint,
    task: Task,
    splits: Sequence[str],
    latents: int,
    *,
    times: int = 1,
    why: str = "",
) -> Work:
    """The texts of these splits, each read so many times, and encoded."""
    texts = [ids for split in splits for ids in tokens_of(checkpoint, task.split(split))]
    read, kept = sum(map(len, texts)), encoded_bytes([len(ids) for ids in texts], latents)
    return Work(stage, times * len(texts), times * read, why=why, beside=ENCODING, kept=kept)


def encoded_bytes(lengths: Sequence[int], latents: int, at_once: int = TOKENS) -> int:
    """Bytes of what encodes texts of these numbers of tokens, about so many at once."""
    rows = min(sum(lengths), at_once + max(lengths, default=0))
    return _ENCODED * rows * latents * _FLOAT


def kept_activations(checkpoint: Checkpoint, task: Task, splits: Sequence[str], points: int) -> int:
    """Bytes of the activations at so many points of the split that has most tokens."""
    most = max(sum(map(len, tokens_of(checkpoint, task.split(split)))) for split in splits)
    return most * points * checkpoint.d_model * _FLOAT


def falsification_work(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    words: Mapping[str, Sequence[Sequence[int]]],
    config: EncodingConfig,
    *,
    plain_texts: Sequence[str] | None,
    inject_words: int,
    seed: int,
    latents: int,
) -> Work:
    """Texts without reasoning, as they are and with words inserted, and the texts in other words."""
    plain = checkpoint.encode(list(plain_texts or [problem.prompt for problem in problems]))
    every = [spelling for one in words.values() for spelling in one]
    keep = max(1, config.skip)
    texts = [*plain, *inject(plain, every, seed=seed + INJECT_SEED, count=inject_words, keep=keep)]
    others = [rephrased(problem) for problem in problems if problem.paraphrases]
    if len(others) > 1:
        texts += checkpoint.encode(others)
    kept = _ALIVE_AT_ONCE * len(problems) * latents * _FLOAT
    kept += encoded_bytes([len(ids) for ids in texts], latents)
    return Work("falsification", len(texts), sum(map(len, texts)), beside=ENCODING, kept=kept)
