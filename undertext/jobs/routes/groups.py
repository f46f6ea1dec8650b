"""The groups of routes as parts of a job: what runs together gives one RouteGroup on one split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

from jaxtyping import Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.core.resume import Done, Part
from undertext.core.statistics import Clusters, pass_at_k
from undertext.core.terms import FIT
from undertext.jobs.routes.config import RoutesConfig
from undertext.measures.answers import Answers, cot_decoded, greedy, majority, sampled, solved
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch
from undertext.measures.recovery.trained import Trained, fit_bias, train_vectors, train_weights
from undertext.steering import Practice
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem, Task

Kind = Literal["unaided", "vector", "feature", "given direction", "control", "decoding", "prompt", "training"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one route got right."""

    name: str
    kind: Kind
    right: Float[ndarray, " problem"]
    """1 where the output is right, leniently graded; for pass@k the probability."""
    tokens: float
    """Number of tokens written for a problem, mean."""
    access: str
    """What the route was allowed to know."""
    training_tokens: int = 0
    """Number of tokens that were read or sampled to train the route, all updates together."""
    unfinished: float = 0.0
    """Share of the outputs that are unfinished; they count as wrong."""
    clusters: Clusters = None
    """The problems' groups."""


class RouteGroup(NamedTuple):
    """Routes that are run together, on one split."""

    outcomes: list[Outcome]
    notes: list[str]


@dataclass(frozen=True)
class RouteParts:
    """The parts of a routes job beside those of steering."""

    weaker: Checkpoint
    stronger: Checkpoint
    task: Task
    of_stronger: Task
    """The task as the stronger reads it."""
    config: RoutesConfig
    layers: Sequence[int]

    def unaided(self, split: str) -> Part:
        """Both checkpoints as they are, the weaker first: the ends of the gap, and no routes."""
        problems = self.task.split(split)

        def make(done: Done) -> RouteGroup:
            above = self.of_stronger.split(split)
            ends = {"weaker": (self.weaker, problems), "stronger": (self.stronger, above)}
            return RouteGroup(
                [_outcome(name, "unaided", self._greedy(*end, done), "none") for name, end in ends.items()],
                [],
            )

        return Part(f"{split}/unaided", make, 2 * len(problems), f"both checkpoints on {split}")

    def untrained(self, split: str) -> list[Part]:
        """Decoding and prompts, in the order of the table."""
        problems = self.task.split(split)
        rows, prompts = len(problems) * self.config.budget, len(problems) * (1 + len(self.task.contrasts))
        return [
            Part(f"{split}/cot_decoding", partial(self._cot, problems), rows, f"CoT-decoding on {split}"),
            Part(f"{split}/sampling", partial(self._sampling, problems), rows, f"sampling on {split}"),
            Part(f"{split}/prompt", partial(self._prompts, problems), prompts, f"prompts on {split}"),
        ]

    def training(self) -> list[Part]:
        """Each makes a Trained, or the note that says why it could not; in the order of the table."""
        config, layers = self.config, self.layers
        ways: dict[str, tuple[int, Callable[[Done], Trained]]] = {
            "fitted": (
                config.fit_steps * len(layers),
                lambda done: fit_bias(
                    self.weaker,
                    self.task,
                    layers,
                    fit_on=config.vector_problems,
                    choose_on=config.search_problems,
                    steps=config.fit_steps,
                    seed=config.seed,
                    batch_size=config.batch_size,
                    progress=done,
                ),
            )
        }
        if config.rlvr_steps and config.budget > 1:
            practice = Practice(
                self.task.max_new_tokens,
                tuple(self.task.stop),
                steps=config.rlvr_steps,
                samples=config.budget,
                prompts=config.rlvr_prompts,
                temperature=config.temperature,
                seed=config.seed,
                batch_size=config.batch_size,
            )
            ways["reinforced_vectors"] = (
                config.rlvr_steps,
                lambda done: train_vectors(
                    self.weaker,
                    self.task,
                    layers,
                    replace(practice, lr=config.vector_lr, progress=done),
                    norms_on=config.vector_problems,
                ),
            )
            ways["rlvr"] = (
                config.rlvr_steps,
                lambda done: train_weights(
                    self.weaker, self.task, replace(practice, lr=config.rlvr_lr, progress=done)
                ),
            )
        return [
            Part(f"training/{name}", partial(_trained, title_of(name), train), updates, title_of(name))
            for name, (updates, train) in ways.items()
        ]

    def trained(self, split: str, key: str, trained: Trained | str) -> Part:
        """What training made, on a split; `key` is that of the part that made it."""
        problems = self.task.split(split)

        def make(done: Done) -> RouteGroup:
            if isinstance(trained, str):
                return RouteGroup([], [trained])
            answers = trained.answers(
                self.weaker, self.task, problems, batch_size=self.config.batch_size, progress=done
            )
            outcome = _outcome(trained.name, "training", answers, trained.access)
            return RouteGroup(
                [replace(outcome, training_tokens=trained.tokens)], [trained.note] if trained.note else []
            )

        return Part(f"{split}/{key}", make, len(problems), f"{title_of(key)} on {split}")

    def _greedy(
        self,
        checkpoint: Checkpoint,
        problems: Sequence[Problem],
        done: Done,
        prompts: Sequence[str] | None = None,
    ) -> Answers:
        return greedy(
            checkpoint,
            self.task,
            problems,
            prompts=prompts,
            batch_size=self.config.batch_size,
            progress=done,
        )

    def _cot(self, problems: Sequence[Problem], done: Done) -> RouteGroup:
        """CoT-decoding with `budget` branches a problem, by its two ways to choose among them."""
        k = self.config.budget
        decoded = cot_decoded(
            self.weaker,
            self.task,
            problems,
            branches=k,
            batch_size=self.config.batch_size,
            progress=done,
        )
        chosen = {f"widest of {k}": decoded.widest, f"summed over {k}": decoded.summed}
        return RouteGroup(
            [_outcome(f"CoT-decoding, {way}", "decoding", each, "none") for way, each in chosen.items()],
            [],
        )

    def _sampling(self, problems: Sequence[Problem], done: Done) -> RouteGroup:
        """`budget` samples a problem: the majority's answer, and pass@k."""
        config, k = self.config, self.config.budget
        samples = sampled(
            self.weaker,
            self.task,
            problems,
            samples=k,
            temperature=config.temperature,
            seed=config.seed,
            batch_size=config.batch_size,
            progress=done,
        )
        name = f"temperature {config.temperature:g}, majority of {k}"
        voted = _outcome(name, "decoding", majority(self.task, problems, samples), "none")
        passed = pass_at_k(samples.right, k).astype(float)
        return RouteGroup(
            [
                voted,
                Outcome(
                    f"pass@{k}",
                    "decoding",
                    passed,
                    voted.tokens,
                    "the right answer",
                    unfinished=float(samples.unfinished.mean()),
                    clusters=voted.clusters,
                ),
            ],
            [],
        )

    def _prompts(self, problems: Sequence[Problem], done: Done) -> RouteGroup:
        """Solved examples before the problem, and the positive wording of each contrast."""
        group = RouteGroup([], [])
        for name, prompts in shown_prompts(self.task, problems, self.config).items():
            try:
                answers = self._greedy(self.weaker, problems, done, prompts)
            except UserError as error:  # examples that do not fit the context
                group.notes.append(f"{name}: {error}")
                continue
            access = "solved examples" if name == few_shot(self.config) else "the wording"
            group.outcomes.append(_outcome(name, "prompt", answers, access))
        return group


def few_shot(config: RoutesConfig) -> str:
    """The name of the route of solved examples."""
    return f"prompt, {config.shots} solved examples"


def shown_prompts(task: Task, problems: Sequence[Problem], config: RoutesConfig) -> dict[str, list[str]]:
    """The prompts of each route that prompts: solved examples, and the positive wording of each contrast."""
    examples = [solved(problem) for problem in drawn(task.split(FIT), config.seed, config.shots)]
    ways = {few_shot(config): ["\n".join([*examples, problem.prompt]) for problem in problems]}
    return ways | {
        f"prompt, worded {contrast.name!r}": [each.worded(contrast.positive) for each in problems]
        for contrast in task.contrasts
    }


def steered_group(
    searched: SteeringSearch, steered: Mapping[str, SteeredAnswers], given: Sequence[str]
) -> RouteGroup:
    """Of each kind the vector that does best on dev: of the task's own only those of the weaker's access.

    `given` are the names of the vectors that the job was given.
    """
    candidates = searched.candidates
    elsewhere = {*given, *candidates.features, *candidates.controls}
    own = [
        name for name in searched.best if name not in elsewhere and candidates.access[name] == "weaker only"
    ]
    random, alike = (
        [name for name, control in candidates.controls.items() if control.kind == kind]
        for kind in ("random directions", "random features")
    )
    kinds: list[tuple[Kind, Sequence[str], str]] = [
        ("vector", own, "vector, "),
        ("control", random, "random direction, "),
        ("given direction", given, "given direction, "),
        ("feature", candidates.features, "SAE feature, "),
        ("control", alike, "random feature, "),
    ]
    outcomes = []
    for kind, names, title in kinds:
        best = max(sorted(names), key=lambda name: searched.accuracy(searched.best[name]), default=None)
        if best is not None:
            outcomes.append(_outcome(f"{title}{best}", kind, steered[best], candidates.access[best]))
    return RouteGroup(outcomes, list(candidates.notes))


def title_of(key: str) -> str:
    """What the progress bar calls the training of a part."""
    return key.removeprefix("training/").replace("_", " ")


def _trained(title: str, train: Callable[[Done], Trained], done: Done) -> Trained | str:
    try:
        return train(done)
    except UserError as error:  # no memory for a copy, or a loss that is not finite
        return f"{title}: {error}"


def _outcome(name: str, kind: Kind, answers: Answers, access: str) -> Outcome:
    right, tokens = answers.lenient.astype(float), float(answers.tokens.mean())
    return Outcome(
        name, kind, right, tokens, access,
        unfinished=float(answers.unfinished.mean()), clusters=answers.clusters,
    )  # fmt: skip
