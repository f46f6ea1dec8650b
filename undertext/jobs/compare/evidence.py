"""The lines of evidence on whether one checkpoint of a pair holds what the other shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.core.progress import Progress
from undertext.jobs.compare.config import CompareConfig, Rule
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.reading_lines import carried, reading_lines
from undertext.jobs.compare.self_knowledge import measure_right, names_no_values
from undertext.measures.answers import Answers, sampled_line
from undertext.measures.decoding.readings import Readings, measure_readings
from undertext.measures.recovery.candidates import candidate_vectors
from undertext.measures.recovery.estimate import recovered
from undertext.measures.recovery.feature_vectors import sae_of
from undertext.measures.recovery.search import (
    SteeredAnswers,
    SteeringSearch,
    recover,
    recovered_line,
    search,
    search_settings,
)
from undertext.measures.recovery.side_effects import SideEffects, side_effects, side_text
from undertext.tasks.task import Task


@dataclass(frozen=True)
class SplitEvidence:
    """What was measured on one split."""

    lines: list[RawLine]
    recovery: SteeredAnswers
    flags: list[str]


@dataclass
class EvidenceCollector:
    """Measures the lines of one weaker checkpoint; what all splits share, once, when first asked for."""

    checkpoint: Checkpoint
    stronger: Checkpoint
    weaker: str
    """Which of `base` and `tuned` it is."""
    task: Task
    splits: Sequence[str]
    layers: Sequence[int]
    config: CompareConfig
    rule: Rule
    bars: Progress
    recoveries: dict[str, SteeredAnswers] = field(default_factory=dict)

    @property
    def points(self) -> list[HookPoint]:
        """Where probes read."""
        return [HookPoint(layer, "resid_post") for layer in self.layers]

    @cached_property
    def readings(self) -> Readings:
        """Probes on both checkpoints and on the nulls."""
        with self.bars.stage("probing"):
            return measure_readings(
                self.checkpoint, self.stronger, self.task, self.splits, self.points, self.config
            )

    @cached_property
    def self_knowledge(self) -> Readings | None:
        """Whether each checkpoint will be right, where the task names nothing else to read."""
        if not names_no_values(self.task):
            return None
        with self.bars.stage("reading whether it will be right"):
            return measure_right(
                self.checkpoint, self.stronger, self.task, self.splits, self.points, self.config
            )

    @cached_property
    def found(self) -> SteeringSearch:
        """The steering search on dev."""
        with self.bars.stage("vectors"):
            offered = candidate_vectors(
                self.checkpoint, self.stronger, self.task, self.config, sae=sae_of(self.config)
            )
        problems = min(len(self.task.split("dev")), self.config.search_problems)
        settings = len(search_settings(offered, self.layers, self.config))
        with self.bars.stage("steering search", problems * settings) as done:
            return search(self.checkpoint, self.task, offered, self.layers, self.config, done)

    @cached_property
    def side_effects(self) -> dict[str, SideEffects | None]:
        """What each vector's chosen setting does to text that is none of the problems, by vector."""
        text = side_text(self.checkpoint, self.task, self.config)
        with self.bars.stage("side effects", len(self.found.best)) as done:
            effects = {}
            for name, setting in self.found.best.items():
                effects[name] = side_effects(
                    self.checkpoint, text, setting, self.found.offered.vectors, self.found.offered.thresholds
                )
                done(1)
        return effects

    def on(self, split: str, gap: Sequence[int], weaker: Answers, stronger: Answers) -> SplitEvidence:
        """Every line on one split, on the problems in the gap where a line is about problems one by one."""
        problems = self.task.split(split)
        flags = []
        with self.bars.stage(f"sampling on {split}", len(gap) * self.config.samples) as done:
            lines = [sampled_line(self.checkpoint, self.task, problems, gap, self.config, done)]
        _ = self.self_knowledge  # measured here, with the rest, though only the tables show it
        names = carried(self.readings, self.rule.readable_above)
        lines += reading_lines(self.readings, split, names, gap) if names else []
        if not names:
            flags.append(
                "nothing to read: no value of the task is carried by the stronger checkpoint over the nulls, "
                "so `decodable` and `transported` were not measured"
            )
        with self.bars.stage(f"steering on {split}", len(problems) * len(self.found.best)) as done:
            recovery = recover(self.checkpoint, self.task, split, self.found, self.config, done)
        self.recoveries[split] = recovery
        _ = self.side_effects  # measured here, with the rest, though only the tables show it
        lines.append(recovered_line(recovery, self.task, problems, weaker, stronger))
        flags += self.found.offered.notes
        flags += self._not_special(split, recovery, weaker, stronger)
        return SplitEvidence(lines, recovery, flags)

    def _not_special(
        self, split: str, recovery: SteeredAnswers, weaker: Answers, stronger: Answers
    ) -> list[str]:
        """A flag where the headline helps, and no more than controls do.

        That speaks of the vector, and not of whether the capability is latent.
        """
        found = recovered(
            recovery, recovery.search.headline, weaker, stronger, seed=self.config.seed, level=self.rule.level
        )
        if found.difference.value <= self.rule.min_gap:
            return []
        equal = [] if found.control is None else [found.control]
        equal += [kind for kind, over in found.excess.items() if over.accuracy.low <= 0]
        if not equal:
            return []
        return [
            f"the vector recovers no more than {' and '.join(equal)} do under the same search: "
            "what is latent opens easily, no direction or place is special"
        ]
