"""Judges: what says, of a pair and a task, whether a capability was elicited, taught, suppressed or
overwritten.

Beside our own stand the conclusions that people draw from one figure alone.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from undertext.core.terms import LineName, Verdict
from undertext.jobs.compare.confidence import contradicting
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.job import compare
from undertext.jobs.compare.result import Comparison, SplitResult
from undertext.tasks.task import Task

OURS = "undertext"
HALF = 0.5
"""The share from which one figure alone is taken to show a capability."""


class Said(NamedTuple):
    """What a judge says of a pair on a split."""

    verdict: Verdict
    confidence: float
    """From 0 to 1: how sure the judge is of this verdict."""
    share: tuple[float, float, float] | None = None
    """The share of the gap that was latent, and its interval; None where the judge says none."""
    stability: float | None = None
    """Share of resamples of the problems that the judge gives the same verdict; None where it says none."""
    against: int = 0
    """Number of lines of evidence that contradict the verdict."""


Judge = Callable[[Path, Path, Task], Mapping[str, Said | Mapping[str, object]]]
"""From the folders of a base and of a tuned checkpoint (or of a LoRA adapter) and a task to what is said of
each split: a `Said`, or a mapping with `verdict`, `confidence` and, where one is given, `share`."""

ALONE: dict[str, LineName] = {
    "recovered alone": "recovered",
    "decodable alone": "decodable",
    "pass@k alone": "behaviour",
    "next step alone": "continued",
    "weight noise alone": "noised",
}
"""Judges that look at one line of evidence: its share of the stronger's, over its null, against a half."""


def our_comparison(
    base: Path, tuned: Path, task: Task, *, seed: int, out: Path | None = None, device: str = "cpu"
) -> Comparison:
    """The comparison behind our verdict: `undertext compare` as it comes, with one thread."""
    config = CompareConfig(seed=seed, threads=1, device=device, search="halving")
    return compare(base, tuned, task, config=config, out=out, progress=False)


def ours(splits: Mapping[str, SplitResult]) -> dict[str, Said]:
    """Our verdicts."""
    return {
        split: Said(
            result.verdict,
            result.confidence,
            None
            if result.latent is None or not isfinite(result.latent.value)
            else (result.latent.value, result.latent.low, result.latent.high),
            result.stability,
            len(contradicting(result.verdict, {line.name: line.says for line in result.evidence})),
        )
        for split, result in splits.items()
    }


def baselines(splits: Mapping[str, SplitResult]) -> dict[str, dict[str, Said]]:
    """What judges would say who look at one figure of the same comparison: `accuracy alone`, and `ALONE`.

    They take the change in accuracy from the same intervals, and no figure of their own refuses: a share that
    is not over a half is absence to them, and they are always sure.
    """
    judges = {"accuracy alone": {split: _changed(each, False) for split, each in splits.items()}}
    for name, line in ALONE.items():
        judges[name] = {split: _changed(each, _shows(each, line)) for split, each in splits.items()}
    return judges


def _shows(result: SplitResult, name: LineName) -> bool:
    line = result.line(name)
    return line is not None and line.share.value > HALF


def _changed(result: SplitResult, latent: bool) -> Said:
    difference = result.accuracy["difference"]
    if difference.low > 0:
        return Said("elicited" if latent else "taught", 1.0)
    if difference.high < 0:
        return Said("suppressed" if latent else "overwritten", 1.0)
    return Said("preserved", 1.0)
