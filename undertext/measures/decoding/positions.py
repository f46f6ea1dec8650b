"""The tokens at which values are read, position by position, and the activations there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import tokens_before
from undertext.measures.decoding.config import Position
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import ValuePosition, reading_text, step_positions, unsaid_positions
from undertext.tasks.value_tokens import ValueTokens, locate_values

Located = Mapping[str, Mapping[Position, ValueTokens]]
"""By split and position: the tokens at which values are read."""


def locate_at(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    positions: Sequence[Position],
    *,
    validity: bool = False,
) -> dict[Position, ValueTokens]:
    """The tokens of each position. A value too near its text's edge to be read there is left out.

    With `validity`, whether a step is valid is a value too, read at the step's end.
    """
    said = locate_values(checkpoint, problems, _with_validity if validity else unsaid_positions)
    tokens: dict[Position, ValueTokens] = {}
    for position in dict.fromkeys(positions):
        if position == "prompt_end":
            tokens[position] = _prompt_ends(checkpoint, problems)
        else:
            tokens[position] = _moved(said, position)
    return tokens


def _with_validity(problem: Problem) -> list[ValuePosition]:
    return [*unsaid_positions(problem), *step_positions(problem)]


def _moved(said: ValueTokens, offset: int) -> ValueTokens:
    lengths = [len(said.tokens[problem]) for problem in said.problem.tolist()]
    within = [
        row
        for row, (position, n) in enumerate(zip(said.position, lengths, strict=True))
        if 0 <= position + offset < n
    ]
    return ValueTokens(
        said.tokens,
        said.problem[within],
        [said.position[row] + offset for row in within],
        [said.name[row] for row in within],
        [said.label[row] for row in within],
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
    tokens: Mapping[Position, ValueTokens]
    _at: Mapping[tuple[int, int], int]

    @classmethod
    def capture(
        cls, checkpoint: Checkpoint, tokens: Mapping[Position, ValueTokens], points: Sequence[HookPoint]
    ) -> "Gathered":
        """The activations of `checkpoint` at every token."""
        texts = next(iter(tokens.values())).tokens
        wanted: list[set[int]] = [set() for _ in texts]
        for each in tokens.values():
            for problem, position in zip(each.problem.tolist(), each.position, strict=True):
                wanted[problem].add(position)
        chosen = [sorted(positions) for positions in wanted]
        pairs = ((p, t) for p, positions in enumerate(chosen) for t in positions)
        at = {pair: i for i, pair in enumerate(pairs)}
        return cls(capture(checkpoint, texts, points, chosen).activations, tokens, at)

    @classmethod
    def of_splits(
        cls, checkpoint: Checkpoint, located: Located, points: Sequence[HookPoint]
    ) -> "dict[str, Gathered]":
        """The same for each split."""
        return {split: cls.capture(checkpoint, tokens, points) for split, tokens in located.items()}

    def rows(self, position: Position, name: str) -> Float[Tensor, "layer n d"]:
        """At the rows of one value, in the order of `ValueTokens.rows`."""
        tokens = self.tokens[position]
        index = [
            self._at[int(tokens.problem[row]), tokens.position[row]] for row in tokens.rows(name).tolist()
        ]
        return self.stack[:, index]

    def at(self, position: Position) -> tuple[Float[Tensor, "layer m d"], Int[Tensor, " m"]]:
        """At every token of a position, each once whatever values are read there, and its problem."""
        tokens = self.tokens[position]
        pairs = sorted(set(zip(tokens.problem.tolist(), tokens.position, strict=True)))
        index = [self._at[pair] for pair in pairs]
        return self.stack[:, index], torch.tensor([problem for problem, _ in pairs])
