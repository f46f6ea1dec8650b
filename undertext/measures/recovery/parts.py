"""Steering on one checkpoint as parts of a job: candidate vectors, the search on dev, recovery on each split.

`compare`, `steer` and `routes` all steer through this:

    steering = SteeringParts(weaker, stronger, task, config, layers=layers, scratch=run.scratch)
    (candidates,) = run.make([steering.candidates()])
    (searched,) = run.make([steering.search(candidates)])
    steered = run.make([steering.recover(searched, split) for split in splits])
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.core.resume import Done, Part
from undertext.core.setup import device_here
from undertext.core.shared import Shared
from undertext.core.sweep_rows import SweepRows
from undertext.core.terms import CHOOSE
from undertext.measures.recovery.candidates import CandidateVectors, candidate_vectors
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.search import (
    SteeredAnswers,
    SteeringSearch,
    recover,
    search,
    search_settings,
)
from undertext.measures.recovery.side_effects import SideEffects, side_effects, side_text
from undertext.saes import NORMALISATION, fingerprint, load_sae
from undertext.saes.sae_type import SAE
from undertext.steering import SteeringVector
from undertext.tasks.task import Task


def sae_of(config: SearchConfig) -> SAE | None:
    """The SAE whose features are steered with; None where the config names none. UserError as `load_sae`, and
    for a crosscoder."""
    if config.sae is None:
        return None
    if (config.sae / NORMALISATION).is_file():
        raise UserError(
            f"expected an SAE in {shown(config.sae)}, got a crosscoder, whose latents are not steered with: "
            "`compare` and `sae diff` take a crosscoder as `crosscoder`"
        )
    return load_sae(config.sae, device=device_here(config.device))


@dataclass(frozen=True, eq=False)
class SteeringParts:
    """The parts of steering one checkpoint on one task; what one part makes is given to the next."""

    weaker: Checkpoint
    stronger: Checkpoint | None
    task: Task
    config: SearchConfig
    layers: Sequence[int]
    """Layers to steer."""
    given: Sequence[SteeringVector] = ()
    """Vectors that are searched beside those of the task and the pair."""
    sae: SAE | None = None
    of_stronger: Task | None = None
    """The task as the stronger reads it, where not as the weaker does (`tasks.prompts`)."""
    scratch: Callable[[str], Path | None] = lambda key: None
    """Where a part keeps rows until it is finished (`JobRun.scratch`); None keeps none."""
    name: str = "steering"
    """Beginning of the parts' keys, which sets two checkpoints of one job apart."""
    shared: Shared | None = None
    """Where rows steered by what knows of the weaker alone are kept for other jobs that steer it."""

    @property
    def inputs(self) -> dict[str, Any]:
        """What the parts depend on beside the checkpoints, the task and the config: for `JobRun.begin`."""
        return {
            "vectors": [[vector.name, vector.fingerprint] for vector in self.given],
            "sae": None if self.sae is None else fingerprint(self.sae.state_dict()),
        }

    def candidates(self) -> Part:
        """Makes CandidateVectors."""

        def make(done: Done) -> CandidateVectors:
            return candidate_vectors(
                self.weaker, self.stronger, self.task, self.config, self.given, self.sae, self.of_stronger
            )

        return Part(f"{self.name}/candidates", make, stage="vectors")

    def search(self, candidates: CandidateVectors) -> Part:
        """Makes a SteeringSearch."""
        key = f"{self.name}/search"

        def make(done: Done) -> SteeringSearch:
            return search(
                self.weaker,
                self.task,
                candidates,
                self.layers,
                self.config,
                done,
                self._store(key, candidates),
            )

        problems = min(len(self.task.split(CHOOSE)), self.config.search_problems)
        settings = len(search_settings(candidates, self.layers, self.config))
        return Part(key, make, problems * settings, "steering search")

    def recover(self, searched: SteeringSearch, split: str) -> Part:
        """Makes SteeredAnswers by vector."""
        key = f"{self.name}/recovery/{split}"

        def make(done: Done) -> dict[str, SteeredAnswers]:
            keep = self._store(key, searched.candidates)
            return recover(self.weaker, self.task, split, searched, self.config, done, keep)

        return Part(key, make, len(self.task.split(split)) * len(searched.best), f"steering on {split}")

    def side_effects(self, searched: SteeringSearch) -> Part:
        """Makes SideEffects by vector; None for a vector whose gate no text is long enough for."""

        def make(done: Done) -> dict[str, SideEffects | None]:
            text = side_text(self.weaker, self.task, self.config)
            candidates = searched.candidates
            effects = {}
            for name, setting in searched.best.items():
                effects[name] = side_effects(
                    self.weaker, text, setting, candidates.vectors, candidates.thresholds
                )
                done(1)
            return effects

        return Part(f"{self.name}/side_effects", make, len(searched.best), "side effects")

    def _store(self, key: str, candidates: CandidateVectors) -> SweepRows | None:
        folder = self.scratch(key)
        if folder is None or self.shared is None:
            return None if folder is None else SweepRows(folder)
        own = [name for name, level in candidates.access.items() if level in ("none", "weaker only")]
        return SweepRows(folder, self.shared.folder, own)
