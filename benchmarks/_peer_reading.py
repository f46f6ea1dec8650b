"""What the peer of `compare.peers` reads: answers, probes, next steps, keys, and answers along traces."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from _peer_pair import PeerPair
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from undertext.activations.noise import noisy
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.answers import graded
from undertext.measures.decoding.config import DecodingConfig
from undertext.measures.decoding.controls import CONTROL_SEED, Arm, control_arms, surface_arm, window_arm
from undertext.measures.decoding.values import Value
from undertext.measures.keys import Key, keys_of
from undertext.measures.trace.continued import step_values
from undertext.measures.trace.trails import Trail, output_trails, split_by
from undertext.tasks import Problem
from undertext.tasks.draws import drawn
from undertext.tasks.value_tokens import in_groups, locate_values, readable_values

OTHERS = 4
"""Answers to other problems that are scored before a trace's first step."""
ROLES = ("base", "tuned")


def answers(pair: PeerPair) -> dict[str, float]:
    """Accuracy of both."""
    pair.answered = {who: pair.answer(who, pair.problems) for who in ROLES}
    return {who: float(each.lenient.mean()) for who, each in pair.answered.items()}


def samples(pair: PeerPair) -> float:
    """Share of right ones among the base's samples of the problems in the gap."""
    own, count = [pair.problems[i] for i in pair.gap], pair.config.samples
    torch.manual_seed(0)
    texts, cut = pair.write("base", pair.ids([problem.prompt for problem in own]), samples=count)
    repeated = [problem for problem in own for _ in range(count)]
    return float(graded(pair.task, repeated, texts, [0] * len(texts), cut).lenient.mean())


def keys(pair: PeerPair) -> dict[str, float]:
    """Accuracy on dev under each key of words and of noise, and of the best of a kind on the split."""
    shown = pair.answer("tuned", pair.dev)
    room = pair.base.n_ctx - pair.task.max_new_tokens
    found: dict[str, float] = {}
    best: dict[str, Key] = {}
    for key in keys_of(pair.task, shown.texts, shown.lenient.tolist(), pair.config.seed):
        if max(map(len, pair.ids([key.prompt(each) for each in (*pair.dev, *pair.problems)]))) > room:
            continue
        found[key.name] = _under(pair, key, pair.dev)
        if key.kind not in best or found[key.name] > found[best[key.kind].name]:
            best[key.kind] = key
    return found | {kind: _under(pair, key, pair.problems) for kind, key in best.items()}


def _under(pair: PeerPair, key: Key, problems: Sequence[Problem]) -> float:
    prompts = [key.prompt(problem) for problem in problems]
    with noisy(pair.base, key.noise, seed=key.seed) if key.noise else nullcontext():
        return float(pair.answer("base", problems, prompts, key.opening).lenient.mean())


def probes(pair: PeerPair) -> dict[tuple[str, str, int], float]:
    """Accuracy on the split by arm, value and layer: a loop over layers and strengths for each arm."""
    wanted, config = (FIT, CHOOSE, pair.split), pair.config
    located = {split: locate_values(pair.base, pair.task.split(split)) for split in wanted}
    sites, _ = in_groups(located, config.max_classes)
    stacks = {
        who: {split: pair.at_sites(who, each)[pair.layers] for split, each in sites.items()}
        for who in pair.models
    }
    found: dict[tuple[str, str, int], float] = {}
    for name, classes in readable_values(sites[FIT], config.max_classes).items():
        value = Value.of(sites, 0, name, classes)
        X = {
            who: {split: stack[split][:, sites[split].rows(name)] for split in wanted}
            for who, stack in stacks.items()
        }
        arms = {
            "weaker": Arm(X["base"], value.y, value.y),
            "stronger": Arm(X["tuned"], value.y, value.y),
            "random_init": Arm(X["random_init"], value.y, value.y),
            "surface": surface_arm(value),
            "window": window_arm(value, pair.base),
            "control": control_arms(value, X["base"], [config.seed + CONTROL_SEED])[0],
        }
        for source, arm in arms.items():
            moved = X["base"][pair.split] if source == "stronger" else None
            read, across = _probe(arm, pair.split, moved)
            found |= {(source, name, layer): each for layer, each in enumerate(read)}
            found |= {("transported", name, layer): each for layer, each in enumerate(across)}
    return found


def _probe(arm: Arm, split: str, moved: Tensor | None) -> tuple[list[float], list[float]]:
    """Each layer's accuracy on the split at the strength that is best on dev; of alternatives, the best's."""
    read, across, on_dev = [], [], []
    for layer in range(len(arm.X[FIT])):
        rows = {each: X[layer].numpy() for each, X in arm.X.items()}
        y = {each: labels.numpy() for each, labels in arm.y.items()}
        scale = StandardScaler().fit(rows[FIT])
        scaled = {each: scale.transform(X) for each, X in rows.items()}
        fits = [
            LogisticRegression(C=strength, max_iter=10_000).fit(scaled[FIT], y[FIT])
            for strength in DecodingConfig().strengths
        ]
        scores = [probe.score(scaled[CHOOSE], y[CHOOSE]) for probe in fits]
        probe = fits[int(np.argmax(scores))]
        on_dev.append(max(scores))
        wanted = arm.wanted[split].numpy()
        read.append(float(probe.score(scaled[split], wanted)))
        if moved is not None:
            across.append(float(probe.score(scale.transform(moved[layer].numpy()), wanted)))
    return ([read[int(np.argmax(on_dev))]] if arm.alternatives else read), across


def next_steps(pair: PeerPair) -> dict[str, float]:
    """Mean over the gap's problems of their steps' values that are written right after the right text."""
    found = {}
    for who in pair.models:
        texts, values = step_values(pair.base, pair.problems)
        chosen: dict[int, list[int]] = {}
        for some, _, logits in pair.logits(who, texts):
            chosen |= dict(zip(some, logits.argmax(-1).tolist(), strict=True))
        right: dict[int, list[bool]] = {}
        for value in values:
            own = tuple(chosen[value.problem][place - 1] for place in value.places)
            right.setdefault(value.problem, []).append(own == value.said)
        found[who] = float(np.mean([np.mean(right[i]) for i in pair.gap if i in right]))
    return found


def along(pair: PeerPair) -> dict[tuple[str, str], float]:
    """Mean probability of the given answer `before` the first step and `after` the last one, over traces with
    a step. Naive information gain: every text by itself, all logits of it, also those of the right answer and
    of other problems' answers."""
    rule, lead = split_by(pair.task, FIT, pair.config.steps, pair.config.lead)
    place = {problem.id: i for i, problem in enumerate(pair.problems)}
    some = drawn(pair.problems, pair.config.seed, pair.config.trace_problems)
    found = {}
    for who in ROLES:
        texts = [pair.answered[who].texts[place[problem.id]] for problem in some]
        cut = [bool(pair.answered[who].unfinished[place[problem.id]]) for problem in some]
        trails = [t for t in output_trails(pair.task, some, texts, cut, rule) if t.answer is not None]
        scored = zip(trails, _scored(pair, who, trails, lead), strict=True)
        ends = [(each[0], each[len(t.points) - 1]) for t, each in scored if t.steps]
        if ends:
            before, after = np.exp(np.array(ends)).mean(0)
            found |= {(who, "before"): float(before), (who, "after"): float(after)}
    return found


def _scored(pair: PeerPair, who: str, trails: Sequence[Trail], lead: str) -> list[list[float]]:
    """Log-probabilities of each trail's answer at its places, of the right one, and of other problems'."""
    texts: list[list[int]] = []
    heads: list[int] = []
    counts = []
    for k, trail in enumerate(trails):
        reading = [trail.reading[:point] + lead for point in trail.points]
        others = [str(trails[(k + j + 1) % len(trails)].answer) for j in range(OTHERS)]
        own = dict.fromkeys([str(trail.answer), trail.problem.answer])
        pairs = [(head, each) for each in own for head in reading] + [(reading[0], each) for each in others]
        counts.append(len(pairs))
        texts += pair.ids([head + each for head, each in pairs])
        heads += map(len, pair.ids([head for head, _ in pairs]))
    sums: dict[int, float] = {}
    for some, ids, logits in pair.logits(who, texts):
        logs = logits.log_softmax(-1)
        for row, i in enumerate(some):
            places = torch.arange(heads[i], len(texts[i]))
            sums[i] = float(logs[row, places - 1, ids[row, places]].sum())
    every = iter([sums[i] for i in range(len(texts))])
    return [[next(every) for _ in range(count)] for count in counts]
