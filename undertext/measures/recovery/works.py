"""What steering one checkpoint reads and writes: the parts of `SteeringParts`, before any is made."""

from collections.abc import Sequence

from undertext.core.plan import Work
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.recovery.candidates import ROLLOUTS, random_positions
from undertext.measures.recovery.parts import SteeringParts
from undertext.measures.recovery.side_effects import side_text
from undertext.steering.halving import USUAL
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem
from undertext.tasks.work import choice_tokens, most_written, tokens_of

_FEW = "some vectors may be left out: rollouts with too few on a side, or features of the SAE"
SEARCH, SIDE_EFFECTS = "steering search", "side effects"
_FLOAT = 4
"""Bytes of an activation that is kept."""


def steering_works(steering: SteeringParts, splits: Sequence[str]) -> list[Work]:
    """Vectors, the search on dev, side effects, and the chosen settings on each split."""
    config, task = steering.config, steering.task
    settings = settings_by_vector(steering)
    dev = drawn(task.split(CHOOSE), config.seed, config.search_problems)
    why = _FEW if _unsure(steering) else ""
    if config.search == "halving":
        rows = sum(USUAL.rows(count, len(dev)) for count in settings)
        search = _rows(steering, SEARCH, dev, rows, why)
    else:
        search = _rows(steering, SEARCH, dev, sum(settings) * len(dev), why)
    works = [_vectors(steering), search, _side_effects(steering, len(settings))]
    for split in splits:
        problems = task.split(split)
        works.append(_rows(steering, f"steering on {split}", problems, len(settings) * len(problems), why))
    return works


def settings_by_vector(steering: SteeringParts) -> list[int]:
    """How many settings are searched of each vector, controls among them; of no fewer vectors than there
    are."""
    config, task = steering.config, steering.task
    gates = len(config.positions)
    moved = len(random_positions(steering.weaker, task, gates, seed=config.seed))
    each = len(config.doses) * len(config.operators)
    usual = len(steering.layers) * each
    made = _labelled(steering)
    given = [
        each * len([layer for layer in steering.layers if layer in vector.layers] or vector.layers)
        for vector in steering.given
    ]
    features = _features(steering)
    own = [usual] * made + [each] * features + given
    alike = [each] * (features * config.random_features)
    unmoved = [*own, *[usual] * made, *alike, *[usual] * config.random_directions]
    return [count * gates for count in unmoved] + ([count * moved for count in own] if moved else [])


def less_steering(steering: SteeringParts, splits: Sequence[str]) -> list[dict[str, object]]:
    """Settings that make a search smaller, where they are not so already."""
    config, layers = steering.config, steering.layers
    less: list[dict[str, object]] = []
    if config.search == "grid":
        less.append({"search": "halving"})
    if (dev := min(config.search_problems, len(steering.task.split(CHOOSE)))) > 3:
        less.append({"search_problems": dev // 2})
    if len(layers) > 1:
        less.append({"layers": tuple(layers[1::2])})
    if len(config.doses) > 1:
        less.append({"doses": tuple(sorted(config.doses)[1::2])})
    if len(config.positions) > 1:
        less.append({"positions": config.positions[:1]})
    if config.random_directions > 1:
        less.append({"random_directions": 1})
    if (train := min(config.vector_problems, len(steering.task.split(FIT)))) > 3:
        less.append({"vector_problems": train // 2})
    if len(splits) > 1:
        less.append({"splits": tuple(splits[:1])})
    return less


def _labelled(steering: SteeringParts) -> int:
    """Vectors that are made of activations with labels: contrasts, or else rollouts; checkpoint delta."""
    task, pair = steering.task, steering.stronger is not None
    contrasts = len(task.contrasts) * (2 if pair else 1)
    return contrasts + (2 if _rolls_out(steering) else 0) + pair


def _rolls_out(steering: SteeringParts) -> bool:
    return not steering.task.contrasts and steering.task.grader.kind != "likelihood"


def _features(steering: SteeringParts) -> int:
    """Features of the SAE: so many of each ranking, which may rank the same ones first."""
    rankings = len(steering.task.contrasts) + 2
    return 0 if steering.sae is None else steering.config.sae_features * rankings


def _unsure(steering: SteeringParts) -> bool:
    return _rolls_out(steering) or steering.sae is not None


def _vectors(steering: SteeringParts) -> Work:
    weaker, stronger, task, config = steering.weaker, steering.stronger, steering.task, steering.config
    problems = drawn(task.split(FIT), config.seed, config.vector_problems)
    own = [problem.prompt for problem in problems]
    lengths = tokens_of(weaker, own)
    rows, read, written, longest = len(own), sum(lengths), 0, max(lengths, default=0)
    sides = [side for each in task.contrasts for side in (each.positive, each.negative)]
    worded = [problem.worded(side) for side in sides for problem in problems]
    rows, read = rows + len(worded), read + sum(tokens_of(weaker, worded))
    if stronger is not None:
        theirs = drawn((steering.of_stronger or task).split(FIT), config.seed, config.vector_problems)
        texts = [problem.worded(side) for side in sides for problem in theirs]
        texts += [problem.prompt for problem in theirs]
        rows, read = rows + len(texts), read + sum(tokens_of(stronger, texts))
    if any(entry.above is not None for entry in config.positions):
        rows, read = rows + len(own), read + sum(lengths)
    if _rolls_out(steering):
        rolled = ROLLOUTS * len(own)
        written += rolled * task.max_new_tokens
        rows, read = rows + 2 * rolled, read + 2 * ROLLOUTS * sum(lengths) + rolled * task.max_new_tokens
    if steering.sae is not None:
        texts = [*own, *worded]
        own_written = len(texts) * task.max_new_tokens
        heads = tokens_of(weaker, texts)
        written, longest = written + own_written, max(heads, default=0)
        rows, read = rows + 2 * len(texts) + len(worded), read + 2 * sum(heads) + own_written
        read += sum(tokens_of(weaker, worded))
    kept = weaker.n_layers * weaker.d_model * _FLOAT * len(own) * (1 + 2 * _labelled(steering))
    why = "rollouts that are empty are not read, and rows share prompts" if _rolls_out(steering) else ""
    if steering.sae is not None:
        why = "the texts are read that the checkpoint writes"
    return Work("vectors", rows, read, written, why, kept=kept, longest=longest)


def _rows(steering: SteeringParts, stage: str, problems: Sequence[Problem], rows: int, why: str) -> Work:
    """So many rows of settings and these problems: all settings of each, unless the search is by halving."""
    task, weaker = steering.task, steering.weaker
    prompts = [problem.prompt for problem in problems]
    halved = rows % len(prompts) != 0 or (stage == SEARCH and steering.config.search == "halving")

    def read(lengths: Sequence[int]) -> int:
        return rows * max(lengths) if halved else rows // len(lengths) * sum(lengths)

    if task.grader.kind == "likelihood":  # under interventions each choice is read for itself, but its end
        own = [sum(each) - len(each) for each in choice_tokens(weaker, problems, prompts)]
        return Work(stage, rows, read(own), 0, why, shared=halved, steered=True)
    lengths = tokens_of(weaker, prompts)
    written, longest = rows * most_written(task), max(lengths)
    return Work(stage, rows, read(lengths), written, why, shared=True, steered=True, longest=longest)


def _side_effects(steering: SteeringParts, vectors: int) -> Work:
    text = side_text(steering.weaker, steering.task, steering.config)
    lengths = tokens_of(text.read_by(steering.weaker), text.texts)
    why = "texts that are too short for the tokens at which a vector acts are left out"
    return Work(SIDE_EFFECTS, 2 * vectors * len(lengths), 2 * vectors * sum(lengths), why=why)
