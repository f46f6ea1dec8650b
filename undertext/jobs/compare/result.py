"""What a comparison found: the contract behind verdict.json, the report and the notebooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from undertext.core.output import VERDICT
from undertext.core.result import Headline, Result, typed
from undertext.core.statistics import Estimate
from undertext.core.terms import Access, LineName, Role, Says, Verdict

SCHEMA = 10
"""Version of verdict.json."""


@dataclass(frozen=True)
class EvidenceLine:
    """One line of evidence on whether the weaker checkpoint holds the capability."""

    name: LineName
    says: Says
    estimate: Estimate
    null: Estimate
    """The same figure where there is nothing to find; which null it is, `note` says."""
    p: float
    """One-sided p of estimate > null, Holm-corrected over the split's lines."""
    access: Access
    """What the measurement was allowed to know of the stronger checkpoint."""
    note: str
    share: Estimate
    """What the weaker shows over the null, of what the stronger does; null where no share is taken."""


@dataclass(frozen=True)
class SplitResult:
    """The verdict on one split and what it rests on."""

    verdict: Verdict
    confidence: float
    """How often verdicts of such evidence are right, as calibrated on organisms of known truth; of
    `undetermined`, its stability."""
    stability: float
    """Share of bootstrap resamples of the problems to which the rule gives the same verdict."""
    weaker: Role | Literal["neither"]
    accuracy: Mapping[Literal["base", "tuned", "difference"], Estimate]
    unfinished: Mapping[Role, float]
    """Share of each checkpoint's outputs that were cut at `max_new_tokens` before their answer was given."""
    latent: Estimate | None
    """Share of the gap (the stronger right, the weaker wrong) that keys open otherwise than by chance; null
    where answers are so few that none can be told. None without a gap."""
    opened: Mapping[LineName, float]
    """Share of the gap that each kind of key opens by itself, chance included."""
    withstood: Estimate | None
    """Share of its accuracy over chance that the base keeps when every weight is moved as far as tuning moved
    it, up or down at random. None where tuning made nothing worse, and where the two have not the same
    weights."""
    evidence: Sequence[EvidenceLine]
    flags: Sequence[str]
    smallest_detectable_difference: float
    """Smallest accuracy difference the split had 80% power to see."""

    def line(self, name: LineName) -> EvidenceLine | None:
        """The line of that name, or None where it was not measured."""
        return next((line for line in self.evidence if line.name == name), None)


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """The answer of `undertext.compare`.

    `summary` holds `schema`, `base` and `tuned` (`name`, `fingerprint`, `n_layers`, `d_model`, `d_vocab`),
    `task` (`name`, `description`, `fingerprint`, `problems` by split), `read` (what each read of one problem,
    token by token), `seed`, and the `splits`. Tables:
    `problems`, a row a split and problem; `probes`, a row a checkpoint, value, layer and split; `positions`,
    the same by the step that says the value (0: the prompt's end), with intervals; `accuracy_by_key`, a row
    a split and line: the weaker's accuracy under the best key of that kind, and that of its null; `keys`, a
    row a prompt or opening, on dev; `sweep`, a row a steering setting, on dev; `recovery`, a row a split and
    vector; `samples`, a row an answer that was sampled from the weaker checkpoint to a problem in the gap;
    `trace`, a row a split, checkpoint and figure of its traces and outputs, with `value`, interval (`low`,
    `high`), `n` problems, the `threshold` that a flag asks of it and the `flag` that it raises, if any;
    `tokens`, a row an output and the checkpoint that reads it, with its tokens' places and likelihoods and,
    where a probe reads them, the value's `name`, the `layer`, the problem's `label`, and `probe`, the
    probability of that label once each token is read; with an SAE, the `feature` that is read and the
    `strength` at which it fires. Where an SAE or a crosscoder is given, `sae` and `crosscoder` of `summary`
    say what is kept and retained, `features` and `latents_shown` have a row for each that is shown,
    `latents` a row a latent, and `pages` what is shown of them.
    """

    FILE: ClassVar[str] = VERDICT

    @property
    def splits(self) -> dict[str, SplitResult]:
        """The verdict on each split, by its name."""
        splits: dict[str, SplitResult] = typed(dict[str, SplitResult], self.summary["splits"])
        return splits

    def headline(self) -> Headline:
        """A row a split: the verdict, both accuracies, and the share of the gap that was latent."""
        rows = [
            {
                "split": split,
                "verdict": result.verdict,
                "confidence": result.confidence,
                "stability": result.stability,
                "accuracy_base": result.accuracy["base"],
                "accuracy_tuned": result.accuracy["tuned"],
                "difference": result.accuracy["difference"],
                "latent": result.latent,
            }
            for split, result in self.splits.items()
        ]
        return Headline(rows, ("split",), ("accuracy_base", "accuracy_tuned", "latent"))
