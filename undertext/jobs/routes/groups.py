"""The groups of routes that a routes job runs; what serves several splits is made once, when it is needed."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from undertext.activations.errors import UserError
from undertext.activations.pair import Pair
from undertext.core.progress import Progress as Bars
from undertext.jobs.routes.config import RoutesConfig
from undertext.jobs.routes.kept import RouteGroup
from undertext.measures.recovery.candidates import candidate_vectors
from undertext.measures.recovery.routes import Kind, Outcome, cot_decoded, greedy, prompted, sampled
from undertext.measures.recovery.search import (
    RUNGS,
    SteeredAnswers,
    SteeringSearch,
    recover,
    search,
    search_settings,
)
from undertext.measures.recovery.trained import Trained, fit_bias, train_vectors, train_weights
from undertext.saes.sae_type import SAE
from undertext.steering import SteeringVector
from undertext.tasks.task import Task

UNAIDED = "unaided"
"""The group of both checkpoints as they are: the gap's ends, and no route."""


class RouteGroups:
    """All groups on one pair and task."""

    def __init__(
        self,
        pair: Pair,
        task: Task,
        config: RoutesConfig,
        layers: Sequence[int],
        vectors: Sequence[SteeringVector],
        sae: SAE | None,
        bars: Bars,
        keep: Callable[[str], Path | None],
    ) -> None:
        """`keep` says where the rows of the sweep on a split go."""
        self._weaker, self._stronger, self._task = pair.base, pair.tuned, task
        self._config, self._layers, self._bars, self._keep = config, layers, bars, keep
        self._given, self._sae = vectors, sae
        self._found = cache(self._search)
        self._trained = cache(self._train)

    def by_name(self) -> dict[str, Callable[[str], RouteGroup]]:
        """What runs each group on a split, in the order of the table."""
        return {
            UNAIDED: self._unaided,
            "steering": self._steering,
            "cot_decoding": partial(self._decoding, cot_decoded, "CoT-decoding"),
            "sampling": partial(self._decoding, sampled, "sampling"),
            "prompt": self._prompt,
            "fitted": partial(self._training, "fitted"),
            "reinforced_vectors": partial(self._training, "reinforced_vectors"),
            "rlvr": partial(self._training, "rlvr"),
        }

    def _unaided(self, split: str) -> RouteGroup:
        problems, outcomes = self._task.split(split), []
        for name, checkpoint in (("weaker", self._weaker), ("stronger", self._stronger)):
            with self._bars.stage(f"{name} on {split}", len(problems)) as done:
                right, tokens = greedy(checkpoint, self._task, problems, self._config, done)
            outcomes.append(Outcome(name, "unaided", right, tokens, "nothing"))
        return RouteGroup(outcomes, [])

    def _search(self) -> SteeringSearch:
        task, config = self._task, self._config
        with self._bars.stage("vectors"):
            offered = candidate_vectors(self._weaker, self._stronger, task, config, self._given, self._sae)
        rows = min(len(task.split("dev")), config.search_problems)
        settings = search_settings(offered, self._layers, config)
        with self._bars.stage("search", rows * len(settings)) as done:
            return search(self._weaker, task, offered, self._layers, config, done, self._keep("dev"))

    def _steering(self, split: str) -> RouteGroup:
        found = self._found()
        rows = len(self._task.split(split)) * len(found.best)
        with self._bars.stage(f"steering on {split}", rows) as done:
            recovery = recover(self._weaker, self._task, split, found, self._config, done, self._keep(split))
        return RouteGroup(best_of_kinds(recovery, self._given), list(found.offered.notes))

    def _decoding(self, run: Callable[..., list[Outcome]], title: str, split: str) -> RouteGroup:
        problems = self._task.split(split)
        with self._bars.stage(f"{title} on {split}", len(problems) * self._config.budget) as done:
            return RouteGroup(run(self._weaker, self._task, problems, self._config, done), [])

    def _prompt(self, split: str) -> RouteGroup:
        problems, notes = self._task.split(split), list[str]()
        with self._bars.stage(f"prompts on {split}", len(problems) * (1 + len(self._task.contrasts))) as done:
            outcomes = prompted(self._weaker, self._task, problems, self._config, notes, done)
        return RouteGroup(outcomes, notes)

    def _train(self, which: str) -> Trained | str:
        """What training made, or why it could not."""
        config, common = self._config, (self._weaker, self._task)
        updates = config.fit_steps * len(self._layers) if which == "fitted" else config.rlvr_steps
        try:
            with self._bars.stage(which.replace("_", " "), updates) as done:
                if which == "rlvr":
                    return train_weights(*common, config, done)
                fit = fit_bias if which == "fitted" else train_vectors
                return fit(*common, self._layers, config, done)
        except UserError as error:  # no memory for a copy, or a loss that is not finite
            return f"{which.replace('_', ' ')}: {error}"

    def _training(self, which: str, split: str) -> RouteGroup:
        if which != "fitted":
            if not self._config.rlvr_steps:
                return RouteGroup([], [])
            if self._config.budget < 2:
                why = "the samples of a problem are each other's baseline, and a budget of 1 has none"
                return RouteGroup([], [f"training by reward was left out: {why}"])
        trained = self._trained(which)
        if isinstance(trained, str):
            return RouteGroup([], [trained])
        problems = self._task.split(split)
        with self._bars.stage(f"{which.replace('_', ' ')} on {split}", len(problems)) as done:
            outcome = trained.outcome(self._task, problems, self._config, done)
        return RouteGroup([outcome], [trained.note] if trained.note else [])


def best_of_kinds(recovery: SteeredAnswers, given: Sequence[SteeringVector]) -> list[Outcome]:
    """Of each kind the vector that does best on dev: of the task's own only such as know the weaker alone."""
    found = recovery.search
    named, features = [vector.name for vector in given], list(found.offered.features)
    taken = {*named, *features}
    controls = found.offered.controls
    own = [
        name
        for name in found.best
        if name not in controls and name not in taken and found.offered.oracles[name] == RUNGS[0]
    ]
    random, alike = (
        [name for name, control in controls.items() if control.kind == kind]
        for kind in ("random directions", "random features")
    )
    kinds: list[tuple[Kind, list[str], str]] = [
        ("vector", own, "vector, "),
        ("control", random, "random direction, "),
        ("given direction", named, "given direction, "),
        ("feature", features, "SAE feature, "),
        ("control", alike, "random feature, "),
    ]
    outcomes = []
    for kind, some, title in kinds:
        best = max(sorted(some), key=lambda name: found.accuracy(found.best[name]), default=None)
        if best is not None:
            right, tokens = recovery.lenient[best].astype(float), recovery.tokens[best]
            outcomes.append(Outcome(f"{title}{best}", kind, right, tokens, found.offered.oracles[best]))
    return outcomes
