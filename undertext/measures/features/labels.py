"""What every token of a task's texts is labelled with: the value about to be said, the part it is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.spans import TextSpan, locate, tokens_holding
from undertext.tasks.spans import join, starts_in_order
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import VALID, VALIDITY, reading_text
from undertext.tasks.value_tokens import ValueTokens, locate_values

LabelKind = Literal["value", "part", "valid"]
PARTS = ("prompt", "step", "rest")


@dataclass(frozen=True, eq=False)
class Labels:
    """One way to label tokens."""

    kind: LabelKind
    """`value`: the value that the text says next, at the last token before. `part`: of the prompt, of a step,
    or of what is left of the trace. `valid`: whether the step that a token is in is a valid one."""
    name: str
    """Of the value; else the kind."""
    classes: tuple[str, ...]
    rows: Int[Tensor, " n"]
    """Into `classes`, -1 where a token has no label; a row a token, text after text."""


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """A split's texts as token ids, and all that their tokens are labelled with."""

    tokens: list[list[int]]
    labels: list[Labels]


def label_texts(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    *,
    skip: int,
    max_classes: int,
    like: Sequence[Labels] | None = None,
) -> LabelledTexts:
    """Label every token but the first `skip` of each text.

    With `like`, labels and classes are those of another split; what it lacks has no label. UserError when
    there is nothing to tell apart.
    """
    sites = locate_values(checkpoint, problems)
    lengths = torch.tensor([len(ids) - skip for ids in sites.tokens])
    if int(lengths.min()) < 1:
        raise UserError(
            f"a text has {int(lengths.min()) + skip} tokens: nothing is left when {skip} are skipped"
        )
    starts = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    if like is None:
        names = {name: tuple(sorted(_distinct(sites, name))) for name in dict.fromkeys(sites.name)}
        wanted: list[tuple[LabelKind, str, tuple[str, ...]]] = [
            ("value", name, classes) for name, classes in names.items() if 2 <= len(classes) <= max_classes
        ]
        wanted += [("part", "part", PARTS), ("valid", VALID, VALIDITY)]
    else:
        wanted = [(each.kind, each.name, each.classes) for each in like]
    part, valid = _of_steps(checkpoint, problems, sites.tokens, skip)
    found = []
    for kind, name, classes in wanted:
        rows = {"part": part, "valid": valid}.get(kind)
        if rows is None:
            rows = torch.full((int(starts[-1]),), -1)
            for row in sites.rows(name).tolist():
                at = sites.position[row] - skip
                if at >= 0 and sites.label[row] in classes:
                    rows[starts[sites.problem[row]] + at] = classes.index(sites.label[row])
        if like is not None or len(rows[rows >= 0].unique()) > 1:
            found.append(Labels(kind, name, classes, rows))
    if not found:
        raise UserError(
            "the task's texts hold no value of 2 classes or more, and no steps: nothing can be told"
        )
    return LabelledTexts(sites.tokens, found)


def left_out(checkpoint: Checkpoint, problems: Sequence[Problem], max_classes: int) -> list[str]:
    """A note for each value that `label_texts` leaves out, since it has more than `max_classes` values."""
    sites = locate_values(checkpoint, problems)
    counts = {name: len(_distinct(sites, name)) for name in dict.fromkeys(sites.name)}
    return [
        f"{shown(name)} is not measured: {count} distinct values are more than max_classes ({max_classes})"
        for name, count in counts.items()
        if count > max_classes
    ]


def tokens_of(checkpoint: Checkpoint, problems: Sequence[Problem]) -> list[list[int]]:
    """The texts as `label_texts` reads them, as token ids."""
    return locate_values(checkpoint, problems).tokens


def _distinct(sites: ValueTokens, name: str) -> set[str]:
    return {label for each, label in zip(sites.name, sites.label, strict=True) if each == name}


def _of_steps(
    checkpoint: Checkpoint, problems: Sequence[Problem], tokens: Sequence[Sequence[int]], skip: int
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    parts, valids = [], []
    for problem, ids in zip(problems, tokens, strict=True):
        text = reading_text(problem)
        located = locate(checkpoint, text)
        trace = problem.trace or " ".join(step.text for step in problem.steps)
        before = len(join(problem.prompt, trace)) - len(trace) if trace else len(text)
        part = torch.full((len(ids),), PARTS.index("prompt"))
        valid = torch.full((len(ids),), -1)
        if trace:
            part[tokens_holding(located, TextSpan(before, len(text)))] = PARTS.index("rest")
        for start, step in zip(
            starts_in_order(trace, [s.text for s in problem.steps]), problem.steps, strict=True
        ):
            span = TextSpan(before + start, before + start + len(step.text))
            held = tokens_holding(located, span)
            part[held], valid[held] = PARTS.index("step"), int(step.valid)
        parts.append(part[skip:])
        valids.append(valid[skip:])
    return torch.cat(parts), torch.cat(valids)
