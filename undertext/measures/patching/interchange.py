"""Whether a checkpoint uses a value it holds: interchange in the subspace in which a probe reads it.

Hook point and size of the subspace are chosen on dev, each random subspace's hook point likewise, and
outcomes are reported on another split. Nothing is judged here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.patching.counterfactual_pairs import CounterfactualPair, Outcomes
from undertext.measures.patching.patching import Classes, PatchAt, Patching
from undertext.measures.patching.subspaces import SUBSPACES, SubspaceOf, class_means
from undertext.probes import Subspaces, random_subspaces
from undertext.tasks.task import Task
from undertext.tasks.value_tokens import readable_values, unread_values

MAX_CLASSES = 20


@dataclass(frozen=True)
class Interchange:
    """What became of the answers, in the subspace and in what it is compared with, problem by problem."""

    name: str
    """Of the value."""
    place: PatchAt
    point: HookPoint
    """Chosen on dev."""
    kind: str
    """Of the subspace, among those offered; chosen on dev."""
    size: int
    """Of the subspace, and of the random ones; chosen on dev, the smallest of equals."""
    basis: Float[Tensor, "k d_model"]
    """Rows that span the subspace; `measure_ablation` takes it."""
    pairs: list[CounterfactualPair]
    """The problems of the split, in order, and what was put into each."""
    nothing: Outcomes
    """Without intervention."""
    subspace: Outcomes
    random: list[Outcomes]
    """In random subspaces of the same size, each at the hook point where it does best on dev."""
    random_points: list[HookPoint]
    full: Outcomes
    """The whole activation at `point`."""
    on_dev: dict[tuple[HookPoint, str, int], float]
    """Share of counterfactual answers on dev by hook point, kind and size of subspace."""


def measure_interchange(
    checkpoint: Checkpoint,
    task: Task,
    split: str,
    *,
    name: str | None = None,
    place: PatchAt = "before",
    points: Sequence[HookPoint] | None = None,
    sizes: Sequence[int] | None = None,
    subspaces: Mapping[str, SubspaceOf] = SUBSPACES,
    draws: int = 5,
    most: int = 120,
    among: Collection[int] | None = None,
    template: str = "{prompt}",
    seed: int = 0,
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Interchange:
    """Put other problems' values into a checkpoint on `split`, and see what it answers.

    At "before" and "said" the model goes on from the reading text up to that token, with the source's own
    activation put in. At "generation" it writes from the prompt, and the mean activation of the source's
    class is put in at each generated token at which the text ends as the step does before it says the
    value (problems whose step begins with the value are left out).

    Args:
        checkpoint: what is looked into.
        task: gives values and the answers they would lead to (`counterfactuals`).
        split: what is reported on.
        name: of the value; None where there is but one with counterfactuals.
        place: where the value is put in.
        points: hook points to choose from; None for every layer's `resid_post`. (What the first layer's
            attention takes from a token that says a value, `resid_pre` of layer 0, is the token itself.)
        sizes: of the subspace, to choose from; None for 1, 2, 4, ... and the number of classes less one.
        subspaces: kinds to choose from, and what gives them.
        draws: random subspaces.
        most: problems of a split that are looked at; those of dev are as many at most.
        among: indices of the split's problems that are looked at; None: all.
        template: around the prompt at "generation".
        seed: of pairs and random subspaces.
        batch_size: rows that are generated together.
        progress: called with rows finished since its last call.

    Raises:
        UserError: for a place or template that is none, a split on which things are fitted or chosen, a task
            or split without such values, a name that has none, sizes that the subspace does not have.
    """
    if place not in get_args(PatchAt):
        raise UserError(f"unknown place {place!r}: valid are {', '.join(get_args(PatchAt))}")
    if "{prompt}" not in template:
        raise UserError(f"expected a template with {{prompt}} in it, got {template!r}")
    if split in (FIT, CHOOSE):
        raise UserError(f"subspaces are fitted on train and chosen on dev: {split!r} cannot be reported on")
    if points is None:
        points = [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]
    patching = {on: Patching(checkpoint, task, on, place, template) for on in (FIT, CHOOSE, split)}
    classes = _classes(task, patching, name)
    widths = [checkpoint.width(point) for point in points]
    sizes = _sizes(min(len(classes.index) - 1, *widths), sizes)
    of_split = {CHOOSE: None, split: among}
    pairs = {
        on: patching[on].pairs(classes, seed=seed, most=most, among=each) for on, each in of_split.items()
    }
    for on, found in pairs.items():
        if not found:
            raise UserError(
                f"task {task.name!r} has no two problems in {on} to exchange {classes.name!r} between"
            )
    X, y = patching[FIT].read(checkpoint, points, classes)
    to_choose = patching[CHOOSE].read(checkpoint, points, classes)
    bases = {kind: subspace(X, y, *to_choose) for kind, subspace in subspaces.items()}
    means = dict(zip(points, class_means(X, y), strict=True)) if place == "generation" else {}

    def run(on: str, settings: Sequence[Subspaces]) -> list[Outcomes]:
        changed = patching[on].run(
            checkpoint, pairs[on], settings, means, classes, batch_size=batch_size, progress=progress
        )
        return [Outcomes.of(*each) for each in zip(changed.texts, changed.is_, strict=True)]

    grid = [(k, kind, i) for k in sizes for kind in bases for i in range(len(points))]
    outcomes = run(CHOOSE, [{points[i]: bases[kind][i, :k]} for k, kind, i in grid])
    shares = [each.share("counterfactual") for each in outcomes]
    size, kind, at = grid[max(range(len(grid)), key=shares.__getitem__)]
    drawn = random_subspaces(draws * len(points), size, X.shape[-1], seed=seed + 1)
    drawn = drawn.unflatten(0, (draws, len(points)))
    searched = run(CHOOSE, [{p: drawn[r, i]} for r in range(draws) for i, p in enumerate(points)])
    by_draw = torch.tensor([each.share("counterfactual") for each in searched]).reshape(draws, len(points))
    chosen = by_draw.argmax(1).tolist()
    basis = bases[kind][at, :size]
    settings: list[Subspaces] = [{}, {points[at]: basis}, {points[at]: None}]
    settings += [{points[i]: drawn[r, i]} for r, i in enumerate(chosen)]
    nothing, inside, full, *random = run(split, settings)
    return Interchange(
        name=classes.name,
        place=place,
        point=points[at],
        kind=kind,
        size=size,
        basis=basis,
        pairs=pairs[split],
        nothing=nothing,
        subspace=inside,
        random=random,
        random_points=[points[i] for i in chosen],
        full=full,
        on_dev={(points[i], kind, k): share for (k, kind, i), share in zip(grid, shares, strict=True)},
    )


def _classes(task: Task, patching: dict[str, Patching], name: str | None) -> Classes:
    fit = patching[FIT]
    with_answers = {
        position.name for each in patching.values() for position in each.positions if position.counterfactuals
    }
    readable = readable_values(fit.sites, MAX_CLASSES)
    names = [each for each in readable if each in with_answers]
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        got = f"{name!r}" if name is not None else "no name"
        unread = unread_values(fit.sites, MAX_CLASSES)
        why = "".join(f"; {each!r} is not one: {unread[each]}" for each in sorted(with_answers & {*unread}))
        raise UserError(
            f"interchange on task {task.name!r} needs the name of a value with counterfactuals that a probe "
            f"can be fitted to, got {got}; there are: {', '.join(names) or 'none'}{why}"
        )
    return Classes(name, {label: i for i, label in enumerate(readable[name])})


def _sizes(largest: int, sizes: Sequence[int] | None) -> list[int]:
    if sizes is None:
        return sorted({*(2**i for i in range(largest.bit_length())), largest})
    if not sizes or any(not 1 <= k <= largest for k in sizes):
        raise UserError(f"expected sizes from 1 to {largest}, got {list(sizes)}")
    return sorted(set(sizes))
