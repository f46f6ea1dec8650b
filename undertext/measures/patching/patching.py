"""A split on which values are put in: where they are, and how the model is run with them."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.measures.patching.counterfactual_pairs import CounterfactualPair, counterfactual_pairs
from undertext.probes import (
    Changed,
    Subspaces,
    centre_patches,
    patch_subspace,
    points_of,
    source_patches,
)
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.spans import WORD_CHARACTER
from undertext.tasks.task import Problem, Task, fill
from undertext.tasks.value_positions import ValuePosition, said_positions, unsaid_positions
from undertext.tasks.value_tokens import ValueTokens, locate_values

PatchAt = Literal["before", "said", "generation"]
"""Where a value is put in: at the token before the text says it (or the end of the prompt, where no step
does), at the token that says it, or wherever the model, writing from the prompt alone, is about to say it."""


LONGEST_LEAD = 200
"""Characters before a value that a text is looked up by."""


@dataclass(frozen=True)
class Classes:
    """A value's classes, as train has them."""

    name: str
    index: dict[str, int]


class Patching:
    """A split's sites, and how the model is run on it with values put in."""

    def __init__(self, checkpoint: Checkpoint, task: Task, split: str, place: PatchAt, template: str) -> None:
        """The sites of `split` for this place."""
        self.task, self.place, self.template = task, place, template
        self.problems = task.split(split)
        sites_in: Callable[[Problem], list[ValuePosition]] = (
            said_positions if place == "said" else unsaid_positions
        )
        self.sites: ValueTokens = locate_values(checkpoint, self.problems, sites_in)
        self.positions = [site for problem in self.problems for site in sites_in(problem)]

    def read(
        self, checkpoint: Checkpoint, points: Sequence[HookPoint], classes: Classes
    ) -> tuple[Float[Tensor, "point n d_model"], Int[Tensor, " n"]]:
        """Activations and classes of the value, where its class is known."""
        rows = [
            row for row in self.sites.rows(classes.name).tolist() if self.sites.label[row] in classes.index
        ]
        y = torch.tensor([classes.index[self.sites.label[row]] for row in rows], dtype=torch.long)
        return self.sites.activations(checkpoint, points)[:, rows], y

    def pairs(
        self, classes: Classes, *, seed: int, most: int, among: Collection[int] | None = None
    ) -> list[CounterfactualPair]:
        """At most so many, in the order of the split; `among` are the problems that may have one."""
        along = self.place == "generation"
        return counterfactual_pairs(
            self.sites,
            self.positions,
            self.problems,
            classes.name,
            classes.index,
            seed=seed,
            most=most,
            allowed=lambda position: not along or bool(position.said_after and position.said_after.strip()),
            among=among,
        )

    def run(
        self,
        checkpoint: Checkpoint,
        pairs: Sequence[CounterfactualPair],
        settings: Sequence[Subspaces],
        means: dict[HookPoint, Tensor],
        classes: Classes,
        *,
        batch_size: int,
        progress: Callable[[int], None] | None,
    ) -> Changed:
        """What is written under every setting."""

        points, grader = points_of(settings), OutputGrader(self.task)
        if self.place == "generation":
            values = [classes.index[self.sites.label[pair.source]] for pair in pairs]
            texts = [fill(self.template, self.problems[pair.problem].prompt) for pair in pairs]
            prompts = checkpoint.encode(texts, room=self.task.max_new_tokens)
            patches = centre_patches(
                {point: means[point][values] for point in points},
                patterns=[about_to_say(self.positions[pair.row]) for pair in pairs],
                count=len(pairs),
            )
        else:
            last = [[-1]] * len(pairs)
            prompts = [self.sites.window(pair.row) for pair in pairs]
            sources = [self.sites.window(pair.source) for pair in pairs]
            patches = source_patches(checkpoint, last, sources, last, points)
        return patch_subspace(
            checkpoint,
            prompts,
            patches,
            settings,
            lambda i, text, cut: pairs[i].grades(grader, self.problems[pairs[i].problem], text, cut),
            max_new_tokens=self.task.max_new_tokens,
            stop=self.task.stop,
            batch_size=batch_size,
            progress=progress,
        )


def about_to_say(position: ValuePosition) -> str:
    """A pattern that a text ends in a match of when it has come to where the step says its value."""
    lead = (position.said_after or "").strip()
    # A pattern has its bounds: of a long step the end is enough, from a whole word on.
    words = lead.split() if len(lead) <= LONGEST_LEAD else lead[-LONGEST_LEAD:].split()[1:]
    before = f"(?<!{WORD_CHARACTER})" if words and words[0][0].isalnum() else ""
    return before + r"\s+".join(map(re.escape, words)) + r"\s*"
