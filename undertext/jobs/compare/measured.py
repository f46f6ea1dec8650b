"""What is measured on the weaker checkpoint of a pair: parts of the job, and the rows of their tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.random_init import random_init_instead
from undertext.core.job import JobRun
from undertext.core.resume import Done, Part
from undertext.core.terms import CHOOSE, Role
from undertext.jobs.compare.changed_weights import OtherWeights, ask_other_weights
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.position_rows import position_rows
from undertext.jobs.compare.rephrased import ask_rephrased
from undertext.jobs.compare.self_knowledge import measure_right
from undertext.jobs.compare.step_lines import ELSEWHERE
from undertext.jobs.compare.used import use_of
from undertext.measures.answers import Answers, Samples, greedy, sampled
from undertext.measures.decoding.controls import RANDOM_SEED
from undertext.measures.decoding.readings import Readings, measure_other, measure_own
from undertext.measures.keys import KeyKind, KeysTried, answers_under, keys_of, try_keys
from undertext.measures.patching.used import Used
from undertext.measures.recovery.estimate import estimate_recovery
from undertext.measures.recovery.parts import SteeringParts
from undertext.measures.recovery.rows import recovery_row, sweep_rows
from undertext.measures.recovery.search import SteeredAnswers, SteeringSearch
from undertext.measures.recovery.side_effects import SideEffects
from undertext.measures.trace.continued import Continued, continued, of_outputs
from undertext.measures.trace.new_words import StepKind, others_prompts, step_kind, words_continued
from undertext.tasks.draws import drawn
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.prompts import with_other_form
from undertext.tasks.task import Problem

Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything that was measured on one weaker checkpoint."""

    weaker: Role
    points: Sequence[HookPoint]
    """Where probes read."""
    readings: Readings
    """Probes on both checkpoints and on the nulls."""
    continued: Mapping[str, Mapping[str, Continued]]
    """By split, next steps of `weaker`, `stronger` and `random_init`, right ones before them given; of new
    words also `ELSEWHERE`: the weaker's after other problems' prompts."""
    step_kinds: Mapping[str, StepKind]
    """By split, what of these steps is looked at: the task's own values, or what is new in outputs."""
    used: Mapping[str, Mapping[str, Used] | str]
    """By split, whether `weaker` and `stronger` use the values of the steps, or why it was not measured."""
    rephrased: Mapping[str, Answers | str | None]
    """By split, the weaker's answers to problems in other words of their own, or why there are none; None
    where the task has no such words."""
    other_weights: Mapping[str, OtherWeights | str]
    """By split, answers under weights that neither has, where tuning made it the weaker one, or why there are
    none."""
    right: Readings | None
    """Whether each checkpoint will be right, where the task names no values."""
    keys: KeysTried
    """Prompts and openings, on dev."""
    keyed: Mapping[str, Mapping[KeyKind, Answers]]
    """Answers under the best key of each kind, by split."""
    searched: SteeringSearch
    effects: Mapping[str, SideEffects | None]
    """What each vector's chosen setting does to text that is none of the problems, by vector."""
    steered: Mapping[str, Mapping[str, SteeredAnswers]]
    """Answers under each vector's chosen setting, by split and vector."""
    samples: Mapping[str, Samples]
    """Sampled answers to the problems in the gap, by split."""
    sampled_ids: Mapping[str, Sequence[str]]
    """Ids of these problems, by split."""


def points_at(layers: Sequence[int]) -> list[HookPoint]:
    """Where probes read, of these layers."""
    return [HookPoint(layer, "resid_post") for layer in layers]


def measure(
    run: JobRun,
    steering: SteeringParts,
    weaker: Role,
    gaps: Mapping[str, Sequence[int]],
    splits: Sequence[str],
    answers: Mapping[str, tuple[Answers, Answers]] | None,
    config: CompareConfig,
    *,
    outputs: Mapping[str, Sequence[str]],
    shared_tokens: bool = True,
    of: Mapping[str, Any] | None = None,
) -> Measured:
    """Measure one weaker checkpoint. `gaps` are the problems in the gap on the splits where it is the weaker
    one.

    `splits` are all that are judged. `answers`, the weaker's and the stronger's by split (train and dev among
    them), are given where the task names no values: then probes read whether a checkpoint will be right.
    `outputs` are the stronger's, by split: their steps are gone on from where the task has none. `of` is what
    that which is measured on the weaker alone depends on, where other comparisons may share it.
    """
    assert steering.stronger is not None, "a comparison has two checkpoints"
    pair, task = (steering.weaker, steering.stronger), steering.task
    points = points_at(steering.layers)

    def read_own(done: Done) -> Readings:
        return measure_own(
            steering.weaker, task, splits, points, max_classes=config.max_classes, seed=config.seed,
            progress=done,
        )  # fmt: skip

    def read(own: Readings, done: Done) -> Readings:
        of_stronger = None if steering.of_stronger is task else steering.of_stronger
        return measure_other(
            own, *pair, points, seed=config.seed, of_stronger=of_stronger, shared_tokens=shared_tokens,
            progress=done,
        )  # fmt: skip

    def read_right(done: Done) -> Readings | None:
        return measure_right(
            *pair,
            task,
            answers or {},
            points,
            seed=config.seed,
            of_stronger=steering.of_stronger,
            shared_tokens=shared_tokens,
        )

    def sampling(split: str) -> Part:
        problems = [task.split(split)[i] for i in gaps[split]]

        def make(done: Done) -> Samples:
            return _sampled(steering, problems, config, None if of is None else {**of, "split": split}, done)

        return Part(f"samples/{split}", make, len(problems) * config.samples, f"sampling on {split}")

    kinds = {split: step_kind(task.split(split), outputs.get(split, ()), gap) for split, gap in gaps.items()}
    grader = OutputGrader(task)

    def go_on(split: str, done: Done) -> dict[str, Continued]:
        problems = task.split(split)
        theirs = (steering.of_stronger or task).split(split)
        steps: dict[str, Continued] = {}
        going: Callable[[Checkpoint, Sequence[Problem]], Continued] = continued
        if kinds[split] == "new words":
            texts = outputs[split]
            answers = [grader.find(text, cut=False) for text in texts]
            going = partial(words_continued, outputs=texts, answers=answers)
            prompts = others_prompts(problems, config.seed)
            steps[ELSEWHERE] = words_continued(steering.weaker, problems, texts, answers, prompts)
        elif kinds[split] == "new numbers":
            problems, theirs = (of_outputs(each, outputs[split]) for each in (problems, theirs))
        steps |= {"weaker": going(steering.weaker, problems), "stronger": going(pair[1], theirs)}
        with random_init_instead(steering.weaker, seed=config.seed + RANDOM_SEED) as nothing:
            steps["random_init"] = going(nothing, problems)
        return steps

    going_on = [
        Part(f"continued/{weaker}/{split}", partial(go_on, split), stage=f"steps on {split}")
        for split in gaps
    ]

    def use(split: str, done: Done) -> dict[str, Used] | str:
        told = None if answers is None else {name: both[1].texts for name, both in answers.items()}
        both_tasks = (task, steering.of_stronger or task)
        return use_of(*pair, both_tasks, split, gaps[split], points, config, told, done)

    using = [Part(f"used/{weaker}/{split}", partial(use, split), stage=f"use on {split}") for split in gaps]

    def reword(split: str, done: Done) -> Answers | str | None:
        return ask_rephrased(steering.weaker, task, split, gaps[split], config.batch_size, done)

    rewording = [
        Part(
            f"rephrased/{weaker}/{split}",
            partial(reword, split),
            len(task.split(split)),
            f"rephrased on {split}",
        )
        for split in gaps
    ]

    def ask_others(split: str, done: Done) -> OtherWeights | str:
        both_tasks = (task, steering.of_stronger or task)
        return ask_other_weights(*pair, *both_tasks, split, config.batch_size, config.seed, done)

    others = [
        Part(
            f"other weights/{weaker}/{split}",
            partial(ask_others, split),
            2 * len(task.split(split)),
            f"other weights on {split}",
        )
        for split in (gaps if weaker == "tuned" else ())
    ]
    own = [Part(f"right/{weaker}", read_right, stage="reading whether it will be right")]
    (alone,) = run.make([Part(f"readings/{weaker}/own", read_own, stage="probing", of=of)])
    readings, candidates, *rest = run.make(
        [
            Part(f"readings/{weaker}/both", partial(read, alone), stage="probing both"),
            steering.candidates(),
            *map(sampling, gaps),
            *(own if answers is not None else []),
        ]
    )
    right = rest.pop() if answers is not None else None
    steps = dict(zip(gaps, run.make(going_on), strict=True))
    used = dict(zip(gaps, run.make(using), strict=True))
    rephrased = dict(zip(gaps, run.make(rewording), strict=True))
    other_weights = dict(zip(gaps, run.make(others), strict=False))
    tried, keyed = _keyed(run, steering, weaker, list(gaps), config)
    (searched,) = run.make([steering.search(candidates)])
    effects, *steered = run.make(
        [steering.side_effects(searched), *(steering.recover(searched, split) for split in gaps)]
    )
    by_split = dict(zip(gaps, steered, strict=True))
    samples = dict(zip(gaps, rest, strict=True))
    ids = {split: [task.split(split)[i].id for i in gap] for split, gap in gaps.items()}
    return Measured(
        weaker=weaker, points=points, readings=readings, continued=steps, step_kinds=kinds, used=used,
        rephrased=rephrased, other_weights=other_weights, right=right,
        keys=tried, keyed=keyed, searched=searched, effects=effects, steered=by_split, samples=samples,
        sampled_ids=ids,
    )  # fmt: skip


def _keyed(
    run: JobRun, steering: SteeringParts, weaker: Role, splits: Sequence[str], config: CompareConfig
) -> tuple[KeysTried, dict[str, dict[KeyKind, Answers]]]:
    """Which keys in words do best on dev, and the weaker's answers under these on each split."""
    stronger, of_stronger = steering.stronger, steering.of_stronger or steering.task
    assert stronger is not None, "a comparison has two checkpoints"
    task = with_other_form(steering.task, of_stronger, steering.weaker)
    dev = drawn(task.split(CHOOSE), config.seed, config.search_problems)

    def choose(done: Done) -> KeysTried:
        theirs = drawn(of_stronger.split(CHOOSE), config.seed, config.search_problems)
        shown = greedy(stronger, of_stronger, theirs, batch_size=config.batch_size)
        keys = keys_of(task, shown.texts, shown.lenient.tolist(), config.seed)
        judged = [problem for split in splits for problem in task.split(split)]
        return try_keys(steering.weaker, task, keys, dev, judged, batch_size=config.batch_size)

    def answer(split: str, done: Done) -> dict[KeyKind, Answers]:
        problems = task.split(split)
        return {
            kind: answers_under(steering.weaker, task, key, problems, batch_size=config.batch_size)
            for kind, key in tried.best.items()
        }

    (tried,) = run.make([Part(f"keys/{weaker}/{CHOOSE}", choose, stage="keys")])
    parts = [
        Part(f"keys/{weaker}/{split}", partial(answer, split), stage=f"keys on {split}") for split in splits
    ]
    return tried, dict(zip(splits, run.make(parts), strict=True))


def _sampled(
    steering: SteeringParts,
    problems: Sequence[Problem],
    config: CompareConfig,
    of: Mapping[str, Any] | None,
    done: Done,
) -> Samples:
    """Sampled answers to these problems; those that another comparison has of a problem are taken from it."""

    def draw(problems: Sequence[Problem]) -> Samples:
        return sampled(
            steering.weaker, steering.task, problems, samples=config.samples, temperature=config.temperature,
            seed=config.seed, batch_size=config.batch_size, progress=done,
        )  # fmt: skip

    shared = steering.shared
    if of is None or shared is None or not problems:
        return draw(problems)
    inputs = {problem.id: {**of, "problem": problem.id} for problem in problems}
    kept = {name: found[0] for name, own in inputs.items() if (found := shared.read("samples", own))}
    done(len(kept) * config.samples)
    if new := [problem for problem in problems if problem.id not in kept]:
        drawn = draw(new)
        for i, problem in enumerate(new):
            kept[problem.id] = drawn.of([i])
            shared.write("samples", inputs[problem.id], kept[problem.id])
    return Samples.together([kept[problem.id] for problem in problems])


def table_rows(
    measured: Measured, answers: Mapping[str, tuple[Answers, Answers]], *, seed: int, level: float
) -> dict[str, Rows]:
    """Rows of the tables `probes`, `positions`, `keys`, `sweep`, `recovery` and `samples`.

    `answers` are the weaker's and the stronger's, by split.
    """
    searched = measured.searched
    recovery = [
        recovery_row(
            split,
            estimate_recovery(searched, steered, name, *answers[split], seed=seed, level=level),
            measured.effects.get(name),
            best_vector=name == searched.best_vector,
            strongest=name == searched.strongest,
        )
        for split, steered in measured.steered.items()
        for name in searched.best
    ]
    read = [readings for readings in (measured.readings, measured.right) if readings is not None]
    probes = [row for readings in read for row in _probe_rows(readings, measured)]
    units = {split: answers[split][0].clusters for split in measured.steered}
    return {
        "probes": probes,
        "positions": position_rows(measured.readings, measured.points, measured.weaker, units, level),
        "sweep": sweep_rows(searched),
        "keys": _key_rows(measured),
        "recovery": recovery,
        "samples": _sample_rows(measured),
    }


def _key_rows(measured: Measured) -> Rows:
    """A row a key in words: how it did on dev, and whether it is the one of its kind that is reported."""
    tried = measured.keys
    return [
        {
            "checkpoint": measured.weaker,
            "key": key.name,
            "kind": key.kind,
            "access": key.access,
            "dev_accuracy": tried.accuracy.get(key.name),
            "chosen": tried.best.get(key.kind) == key,
        }
        for key in tried.keys
    ]


def _sample_rows(measured: Measured) -> Rows:
    """A row a sampled answer of the weaker checkpoint to a problem in the gap."""
    return [
        {
            "checkpoint": measured.weaker,
            "split": split,
            "id": name,
            "sample": k,
            "output": text,
            "right": bool(samples.right[i, k]),
            "tokens": int(samples.tokens[i, k]),
        }
        for split, samples in measured.samples.items()
        for i, (name, texts) in enumerate(zip(measured.sampled_ids[split], samples.texts, strict=True))
        for k, text in enumerate(texts)
    ]


def _probe_rows(readings: Readings, measured: Measured) -> Rows:
    stronger = "tuned" if measured.weaker == "base" else "base"
    checkpoints = {"weaker": measured.weaker, "stronger": stronger, "transported": "transported"}
    rows = []
    for (name, split), right in readings.right.items():
        if (
            split not in measured.steered or not right["weaker"].numel()
        ):  # a value that the split does not name
            continue
        for role, checkpoint in checkpoints.items():
            if role not in right:  # `transported`, where the two read in different tokens
                continue
            for layer, point in enumerate(measured.points):
                rows.append(
                    {
                        "checkpoint": checkpoint,
                        "role": role,
                        "name": name,
                        "layer": point.layer,
                        "hook": str(point),
                        "C": float(readings.strength[name, role][layer]),
                        "split": split,
                        "n": right[role].shape[1],
                        "accuracy": float(right[role][layer].double().mean()),
                        "control": float(right["control"][layer].double().mean()),
                        "surface": float(right["surface"][0].double().mean()),
                        "window": float(right["window"][0].double().mean()),
                        "random_init": float(right["random_init"][layer].double().mean()),
                        "chosen": layer == readings.chosen[name, role],
                    }
                )
    return rows
