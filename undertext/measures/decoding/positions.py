"""Where a job reads: the sites of values at each of its positions, and the activations there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import tokens_before
from undertext.jobs.probe.config import Position
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import ValuePosition, reading_text, step_positions, value_positions
from undertext.tasks.value_tokens import ValueTokens, locate_values


def places_of(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    positions: Sequence[Position],
    *,
    judged: bool = False,
) -> dict[Position, ValueTokens]:
    """The sites at each position. A value too near its text's edge to be read there is left out.

    With `judged`, whether a step is valid is a value too, said at the step's end.
    """
    said = locate_values(checkpoint, problems, _with_steps if judged else value_positions)
    at_end = None
    found: dict[Position, ValueTokens] = {}
    for position in positions:
        if position == "prompt_end":
            at_end = at_end or _prompt_ends(checkpoint, problems)
            found[position] = at_end
        else:
            found[position] = _moved(said, position)
    return found


def _with_steps(problem: Problem) -> list[ValuePosition]:
    return [*value_positions(problem), *step_positions(problem)]


def _moved(said: ValueTokens, offset: int) -> ValueTokens:
    lengths = [len(said.tokens[problem]) for problem in said.problem.tolist()]
    kept = [
        row
        for row, (position, n) in enumerate(zip(said.position, lengths, strict=True))
        if 0 <= position + offset < n
    ]
    return ValueTokens(
        said.tokens,
        said.problem[kept],
        [said.position[row] + offset for row in kept],
        [said.name[row] for row in kept],
        [said.label[row] for row in kept],
    )


def _prompt_ends(checkpoint: Checkpoint, problems: Sequence[Problem]) -> ValueTokens:
    tokens, problem, position, name, label = [], [], [], [], []
    for i, each in enumerate(problems):
        ids, (last,) = tokens_before(checkpoint, reading_text(each), [len(each.prompt)])
        tokens.append(ids)
        for value_name, value in {"answer": each.answer, **each.values}.items():
            problem.append(i)
            position.append(last)
            name.append(value_name)
            label.append(str(value))
    return ValueTokens(tokens, torch.tensor(problem, dtype=torch.long), position, name, label)


@dataclass(frozen=True, eq=False)
class Gathered:
    """Activations at all positions of one split, each token captured once."""

    stack: Float[Tensor, "layer token d"]
    places: Mapping[Position, ValueTokens]
    _at: Mapping[tuple[int, int], int]

    @classmethod
    def capture(
        cls, checkpoint: Checkpoint, places: Mapping[Position, ValueTokens], points: Sequence[HookPoint]
    ) -> "Gathered":
        """What `checkpoint` has at every site."""
        tokens = next(iter(places.values())).tokens
        wanted: list[set[int]] = [set() for _ in tokens]
        for sites in places.values():
            for problem, position in zip(sites.problem.tolist(), sites.position, strict=True):
                wanted[problem].add(position)
        chosen = [sorted(each) for each in wanted]
        at = {pair: i for i, pair in enumerate((p, t) for p, each in enumerate(chosen) for t in each)}
        return cls(capture(checkpoint, tokens, points, chosen).activations, places, at)

    @classmethod
    def of_splits(
        cls,
        checkpoint: Checkpoint,
        places: Mapping[str, Mapping[Position, ValueTokens]],
        points: Sequence[HookPoint],
    ) -> "dict[str, Gathered]":
        """The same for each split."""
        return {split: cls.capture(checkpoint, each, points) for split, each in places.items()}

    def rows(self, position: Position, name: str) -> Float[Tensor, "layer n d"]:
        """At the rows of one value, in the order of `ValueTokens.rows`."""
        sites = self.places[position]
        found = sites.rows(name).tolist()
        index = [self._at[int(sites.problem[row]), sites.position[row]] for row in found]
        return self.stack[:, index]

    def tokens(self, position: Position) -> tuple[Float[Tensor, "layer m d"], Int[Tensor, " m"]]:
        """At every token of a position, each once whatever values are read there, and its problem."""
        sites = self.places[position]
        pairs = sorted(set(zip(sites.problem.tolist(), sites.position, strict=True)))
        index = [self._at[pair] for pair in pairs]
        return self.stack[:, index], torch.tensor([problem for problem, _ in pairs])
