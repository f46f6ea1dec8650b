"""What a judge is asked, and what it said."""

from dataclasses import dataclass
from typing import Literal, get_args

from undertext.core.terms import Verdict

MIXTURE = "a mixture: no one verdict is true of it, and its share is known"
"""Why a case is not scored whose share of the gap is known all the same."""
Part = Literal["tuning", "held out"]
PARTS: tuple[Part, ...] = get_args(Part)
LATENT: tuple[Verdict, ...] = ("elicited", "composed", "suppressed")
"""Verdicts that find the capability, or its parts, in the weaker checkpoint."""
ABSENT: tuple[Verdict, ...] = ("taught", "overwritten")
"""Verdicts that do not."""


@dataclass(frozen=True)
class Case:
    """One pair of organisms on one split, and what is true of it."""

    world: str
    """Family, shape, tokenizer and seed, as in `chain-llama-word-1`: what shares training."""
    family: str
    """Family of tasks: chain, countdown, graph, ..."""
    shape: str
    """Architecture: llama, gpt2, qwen3 or gpt_neox."""
    tokenizer: str
    """Kind of tokenizer: word, char or bpe."""
    seed: int
    """Random seed of the world's training."""
    part: Part
    """Whether rule and calibration may be fixed on the case, or are only reported on it."""
    organism: str
    """Recipe of the tuned organism."""
    base: str
    """Recipe of the base."""
    split: str
    truth: Verdict
    share: float | None = None
    """Share of the gap that was latent, where construction tells it."""
    ambiguous: str = ""
    """Why construction, behaviour and relearning disagree; a case with a reason is not scored,
    but for the share of a `MIXTURE`."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells the case from every other one."""
        return (self.world, self.organism, self.base, self.split)

    @property
    def name(self) -> str:
        """The key as one text."""
        return f"{self.world}: {self.organism} over {self.base}, {self.split}"


@dataclass(frozen=True)
class Judged:
    """What a judge said of a case."""

    case: Case
    judge: str
    seed: int
    """Random seed of the judge."""
    verdict: Verdict
    confidence: float
    share: tuple[float, float, float] | None
    """Share of the gap that was latent, and the bounds of its interval; None where the judge says none."""
    seconds: float
    problems: int
    """Number of problems of the split."""
    stability: float | None = None
    """Share of resamples of the problems that the judge gives the same verdict; None where it says none."""
    against: int = 0
    """Number of lines of evidence that contradict the verdict."""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells the judgement from every other one; also their order in a file."""
        return (self.case.part, *self.case.key, self.judge, f"{self.seed:020}")

    @property
    def given(self) -> bool:
        """Whether the judge gave a verdict."""
        return self.verdict != "undetermined"

    @property
    def right(self) -> bool:
        """Whether the verdict is the truth."""
        return self.verdict == self.case.truth
