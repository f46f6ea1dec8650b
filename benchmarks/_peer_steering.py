"""What the peer of `compare.peers` changes: vectors, one setting at a time, and values of other problems."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from _peer_pair import PeerPair
from torch import Tensor

from undertext.core.terms import CHOOSE, FIT
from undertext.jobs.compare.used import MOST
from undertext.measures.patching.counterfactual_pairs import CounterfactualPair, counterfactual_pairs
from undertext.measures.patching.used import DRAWS, value_used
from undertext.measures.recovery.candidates import DELTA, ELSEWHERE, RANDOM, SHUFFLED, random_positions
from undertext.probes import random_subspaces
from undertext.steering import difference_of_means, random_directions, shuffled_labels
from undertext.tasks import Problem
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.value_positions import unsaid_positions
from undertext.tasks.value_tokens import ValueTokens, locate_values


class Steered(NamedTuple):
    """One setting of the search."""

    vector: str
    layer: int
    dose: float
    at: str
    """`last_prompt`, `generated`, or `prompt token -3`."""


class Searched(NamedTuple):
    """What was found, by setting."""

    on_dev: dict[Steered, float]
    recovered: dict[Steered, float]
    """Accuracy on the split of each vector's best setting."""


@contextmanager
def hook(pair: PeerPair, who: str, layer: int, changed: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """What a layer gives, changed."""
    block = pair.models[who].model.layers[layer]
    handle = block.register_forward_hook(lambda module, args, output: changed(output))
    try:
        yield
    finally:
        handle.remove()


def vectors(pair: PeerPair) -> tuple[dict[str, Tensor], Tensor]:
    """Directions [layer, d_model] at length 1, by name, and the mean norm at each layer."""
    config = pair.config

    def at_end(who: str, texts: Sequence[str]) -> Tensor:
        tokens = pair.ids(texts)
        return pair.at(who, tokens, [[len(ids) - 1] for ids in tokens])

    plain = at_end("base", [problem.prompt for problem in pair.fit])
    sides: dict[str, tuple[Tensor, Tensor]] = {}
    for contrast in pair.task.contrasts:
        for who, name in (("base", contrast.name), ("tuned", f"{contrast.name} of the stronger")):
            positive, negative = (
                at_end(who, [problem.worded(side) for problem in pair.fit])
                for side in (contrast.positive, contrast.negative)
            )
            sides[name] = (positive, negative)
    sides[DELTA] = (at_end("tuned", [problem.prompt for problem in pair.fit]), plain)
    found = {name: difference_of_means(*both) for name, both in sides.items()}
    for k, (name, both) in enumerate(sides.items()):
        found[f"{SHUFFLED}{name}"] = shuffled_labels(
            difference_of_means, *both, seed=config.seed * 1021 + k, balanced=True
        )
        found[f"{ELSEWHERE}{name}"] = found[name]
    for k in range(config.random_directions):
        found[f"{RANDOM}{k + 1}"] = random_directions(*plain.shape[::2], seed=config.seed * 1009 + k)
    units = {name: torch.nn.functional.normalize(each, dim=-1) for name, each in found.items()}
    return units, plain.norm(dim=-1).mean(-1)


def search(pair: PeerPair) -> Searched:
    """Every setting of the grid on dev, one at a time, and each vector's best on the split."""
    directions, norms = vectors(pair)
    config = pair.config
    gates = [str(gate.place) for gate in config.positions]
    elsewhere = [
        str(gate) for gate in random_positions(pair.base, pair.task, len(gates), seed=config.seed * 1013 + 7)
    ]

    def under(setting: Steered, problems: Sequence[Problem]) -> float:
        added = setting.dose * norms[setting.layer] * directions[setting.vector][setting.layer]
        place = int(setting.at.split()[-1]) if setting.at.startswith("prompt token") else -1

        def add(output: Tensor) -> Tensor | None:
            if (output.shape[1] > 1) == (setting.at == "generated"):
                return None
            changed = output.clone()
            changed[:, place] += added
            return changed

        with hook(pair, "base", setting.layer, add):
            return pair.accuracy("base", problems)

    on_dev = {
        setting: under(setting, pair.dev)
        for setting in (
            Steered(name, layer, dose, at)
            for name in directions
            for layer in pair.layers
            for at in (elsewhere if name.startswith(ELSEWHERE) else gates)
            for dose in sorted(config.doses)
        )
    }
    best: dict[str, Steered] = {}
    for setting, accuracy in on_dev.items():
        if setting.vector not in best or accuracy > on_dev[best[setting.vector]]:
            best[setting.vector] = setting
    return Searched(on_dev, {setting: under(setting, pair.problems) for setting in best.values()})


def interchange(pair: PeerPair) -> dict[str, tuple[float, float]]:
    """Share of the gap's problems whose answer follows another problem's value, put in where a step is about
    to say its own: in the subspace of the classes' means at the layer that is best on dev, and the mean over
    random subspaces at theirs. One setting at a time."""
    found = value_used(pair.task.split(FIT), pair.base)
    if isinstance(found, str):
        raise SystemExit(found)
    name, classes = found
    index = {label: i for i, label in enumerate(classes)}
    sites = {split: locate_values(pair.base, pair.task.split(split)) for split in (FIT, CHOOSE, pair.split)}
    among = {CHOOSE: None, pair.split: pair.gap}
    pairs = {split: _pairs(pair, split, sites[split], name, index, each) for split, each in among.items()}
    moved = {}
    for who in ("base", "tuned"):
        rows = sites[FIT].rows(name)
        X = pair.at_sites(who, sites[FIT])[:, rows]
        y = np.array([index[sites[FIT].label[row]] for row in rows.tolist()])
        means = torch.stack([X[:, y == k].mean(1) for k in range(len(classes))], dim=1)
        size = min(len(classes) - 1, X.shape[-1])
        bases = torch.linalg.svd(means - means.mean(1, keepdim=True), full_matrices=False)[2][:, :size]
        random = random_subspaces(DRAWS * len(pair.layers), size, X.shape[-1], seed=pair.config.seed + 1)
        drawn = random.unflatten(0, (DRAWS, len(pair.layers)))

        put_in = {split: _sources(pair, who, own, sites[split]) for split, own in pairs.items()}

        def share(
            split: str,
            layer: int,
            basis: Tensor,
            who: str = who,
            put_in: Mapping[str, Tensor] = put_in,
        ) -> float:
            prompts = [sites[split].window(each.row) for each in pairs[split]]
            return _share(pair, who, pairs[split], split, prompts, layer, put_in[split][layer], basis)

        layers = list(enumerate(pair.layers))
        _, at = max((share(CHOOSE, layer, bases[layer]), -layer) for _, layer in layers)
        inside = share(pair.split, -at, bases[-at])
        by_chance = []
        for draw in drawn:
            _, first = max((share(CHOOSE, layer, draw[i]), -i) for i, layer in layers)
            by_chance.append(share(pair.split, pair.layers[-first], draw[-first]))
        moved[who] = (inside, float(np.mean(by_chance)))
    return moved


def _pairs(
    pair: PeerPair,
    split: str,
    sites: ValueTokens,
    name: str,
    index: dict[str, int],
    among: Sequence[int] | None,
) -> list[CounterfactualPair]:
    problems = pair.task.split(split)
    positions = [position for problem in problems for position in unsaid_positions(problem)]
    seed = pair.config.seed
    return counterfactual_pairs(sites, positions, problems, name, index, seed=seed, most=MOST, among=among)


def _sources(pair: PeerPair, who: str, pairs: Sequence[CounterfactualPair], sites: ValueTokens) -> Tensor:
    """What each pair's source holds [layer, pair, d_model]."""
    texts = [sites.window(each.source) for each in pairs]
    return pair.at(who, texts, [[len(ids) - 1] for ids in texts])


def _share(
    pair: PeerPair,
    who: str,
    pairs: Sequence[CounterfactualPair],
    split: str,
    prompts: Sequence[Sequence[int]],
    layer: int,
    put_in: Tensor,
    basis: Tensor,
) -> float:
    """Share of the pairs whose answer becomes the counterfactual one."""

    def patch(output: Tensor) -> Tensor | None:
        if output.shape[1] == 1:
            return None
        changed = output.clone()
        changed[:, -1] += (put_in - changed[:, -1]) @ basis.T @ basis
        return changed

    with hook(pair, who, layer, patch):
        texts, cut = pair.write(who, prompts)
    grader, problems = OutputGrader(pair.task), pair.task.split(split)
    grades = [
        own.grades(grader, problems[own.problem], text, each)[0]
        for own, text, each in zip(pairs, texts, cut, strict=True)
    ]
    return float(np.mean(grades))
