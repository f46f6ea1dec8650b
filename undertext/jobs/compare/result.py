"""What a comparison found: the contract behind verdict.json, the report and the notebooks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from undertext.core.statistics import Estimate

SCHEMA = 1
"""Version of verdict.json."""

Verdict = Literal["elicited", "taught", "suppressed", "overwritten", "preserved", "undetermined"]
Says = Literal["latent", "absent", "unclear"]
LineName = Literal["behaviour", "decodable", "transported", "used", "recovered", "retained"]
Access = Literal["none", "weaker only", "stronger's activations", "stronger in the loop"]


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
    oracle: Access
    """What the measurement was allowed to know of the stronger checkpoint."""
    note: str


@dataclass(frozen=True)
class SplitResult:
    """The verdict on one split and what it rests on."""

    verdict: Verdict
    confidence: float
    """Share of bootstrap resamples of the problems that give the same verdict."""
    weaker: Literal["base", "tuned", "neither"]
    accuracy: Mapping[Literal["base", "tuned", "difference"], Estimate]
    evidence: Sequence[EvidenceLine]
    flags: Sequence[str]
    smallest_detectable_difference: float
    """Smallest accuracy difference the split had 80% power to see."""

    def line(self, name: LineName) -> EvidenceLine | None:
        """The line of that name, or None where it was not measured."""
        return next((line for line in self.evidence if line.name == name), None)


@dataclass(frozen=True)
class Comparison:
    """The answer of `undertext.compare`."""

    base: Mapping[str, Any]
    """`name`, `fingerprint`, `n_layers`, `d_model`, `d_vocab`."""
    tuned: Mapping[str, Any]
    task: Mapping[str, Any]
    """`name`, `description`, `fingerprint`, `problems` (how many a split)."""
    seed: int
    elapsed_s: float
    splits: Mapping[str, SplitResult]
    run: Mapping[str, Any]
    """Config, versions, timings a stage: run.json."""
    tables: Mapping[str, pa.Table] = field(repr=False)
    """`problems`: a row a split and problem. `probes`: a row a checkpoint, name, layer and split.
    `sweep`: a row a steering setting, on dev. `recovery`: a row a split and vector, on the split."""

    def to_dict(self) -> dict[str, Any]:
        """verdict.json, schema 1, as plain values."""
        return {
            "schema": SCHEMA,
            "base": dict(self.base),
            "tuned": dict(self.tuned),
            "task": dict(self.task),
            "seed": self.seed,
            "elapsed_s": self.elapsed_s,
            "splits": {name: asdict(result) for name, result in self.splits.items()},
        }

    def save(self, out: str | Path) -> Path:
        """Write verdict.json, report.html, figures/, tables/ and run.json under `out`.

        Everything is written to a temporary folder first and renamed at the end, verdict.json last, so
        that no file ever stands half-written under its final name. Raises UserError when `out` cannot be
        written.
        """
        from undertext.jobs.compare.report import save

        return save(self, Path(out))

    def figures(self) -> dict[str, Any]:
        """The report's matplotlib figures by name: `accuracy`, and where measured `probes` and `doses`."""
        from undertext.report.figures.accuracy import figures

        return figures(self)

    def _repr_html_(self) -> str:
        from undertext.report.page import summary

        return summary(self)
