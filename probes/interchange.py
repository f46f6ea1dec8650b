"""Whether what is read is used: another problem's value is put into a subspace, and the model writes on.

After Geiger et al. (arXiv 2106.02997) and, for subspaces, Wu et al. (arXiv 2305.08809).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.hookpoint import GateAt, HookPoint
from undertext.activations.interventions import Intervention, Threshold

Subspaces = Mapping[HookPoint, Float[Tensor, "_ _"] | None]
"""One setting: the hook points at which something is put in, all at once, and the rows [k, width] that span
the subspace at each; None stands for the whole activation. Without a hook point nothing is changed."""
Grade = Callable[[int, str, bool], tuple[bool, ...]]
"""`grade(i, text, cut)`: whether what was written after prompt `i` is this, that, ..., always as many; `cut`
says that the text was cut at `max_new_tokens`."""


@dataclass(frozen=True, eq=False)
class Changed:
    """What was written under each setting after each prompt."""

    texts: list[list[str]]
    """`texts[setting][prompt]`."""
    is_: Bool[Tensor, "setting prompt grade"]
    """What `grade` says of each."""
    touched: list[list[int]]
    """At how many tokens each row was changed, `touched[setting][prompt]`."""


class Patch(NamedTuple):
    """What is put into one prompt at some of its tokens."""

    activations: Mapping[HookPoint, Float[Tensor, " _"]]
    """The activation whose part in a setting's subspace is put in, by hook point."""
    at: GateAt | tuple[int, ...] = "generated"
    """At which tokens."""
    pattern: str | None = None
    """Only where the text so far ends in a match of this regular expression; None for any text."""
    threshold: Threshold | None = None
    """Only where this holds."""


def patch_subspace(
    checkpoint: Checkpoint,
    prompts: Sequence[Sequence[int]],
    patches: Sequence[Sequence[Patch]],
    settings: Sequence[Subspaces],
    grade: Grade,
    *,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Changed:
    """Write on greedily from each prompt with its patches put in, in every setting's subspaces.

    All settings are rows of the same batches.

    Args:
        checkpoint: what reads and writes.
        prompts: token ids.
        patches: those of each prompt: `source_patches`, `centre_patches`, or any others.
        settings: what is changed, at which hook points and in which subspaces.
        grade: what is to be known about a text.
        max_new_tokens: as for `activations.generate`, and so are the rest.
        stop: likewise.
        batch_size: likewise.
        progress: likewise.

    Raises: UserError: for lists of different lengths, a hook point that a patch has no activation for, and
    whatever `generate` refuses.
    """
    if len(patches) != len(prompts):
        raise UserError(f"expected patches for each of {len(prompts)} prompts, got {len(patches)}")
    wanted = points_of(settings)
    for point in wanted:
        if any(point not in patch.activations for row in patches for patch in row):
            raise UserError(f"expected an activation at every hook point, got none at {point}")
    acting = [
        [
            [_put(point, basis, patch) for point, basis in subspaces.items() for patch in row]
            for row in patches
        ]
        for subspaces in settings
    ]
    written = generate(
        checkpoint,
        [ids for _ in acting for ids in prompts],
        max_new_tokens=max_new_tokens,
        stop=stop,
        interventions=[row for setting in acting for row in setting],
        batch_size=batch_size,
        progress=progress,
    )
    n = len(prompts)
    spans = [slice(i * n, (i + 1) * n) for i in range(len(acting))]
    texts = [written.texts[span] for span in spans]
    graded = [grade(row % n, *each) for row, each in enumerate(zip(written.texts, written.cut, strict=True))]
    grades = [graded[span] for span in spans]
    width = len(grades[0][0]) if acting and n else 0
    is_ = tensor(grades, dtype=torch.bool).reshape(len(acting), n, width)
    return Changed(texts, is_, [written.touched[span] for span in spans])


def source_patches(
    checkpoint: Checkpoint,
    positions: Sequence[Sequence[int]],
    sources: Sequence[Sequence[int]],
    source_positions: Sequence[Sequence[int]],
    points: Sequence[HookPoint],
) -> list[list[Patch]]:
    """Interchange: patches that put each source's activations into its prompt.

    Args:
        checkpoint: what reads the sources.
        positions: tokens of each prompt that are changed (negative ones count from its end).
        sources: token ids of the text whose activations each prompt is given.
        source_positions: tokens of each source, one for each position in the prompt.
        points: `points_of` the settings.

    Raises:
        UserError: for lists of different lengths, and whatever `capture` refuses.
    """
    if not len(positions) == len(sources) == len(source_positions):
        raise UserError(
            f"expected positions, a source and its positions for each prompt, got {len(positions)}, "
            f"{len(sources)} and {len(source_positions)}"
        )
    for i, (of_prompt, of_source) in enumerate(zip(positions, source_positions, strict=True)):
        if len(of_prompt) != len(of_source):
            raise UserError(
                f"prompt {i}: expected as many positions in its source as in itself, "
                f"got {len(of_source)} and {len(of_prompt)}"
            )
    if not points:
        return [[] for _ in positions]
    captured = capture(checkpoint, sources, points, source_positions)
    lengths = [len(each) for each in source_positions]
    given = {point: captured[point].split(lengths) for point in points}
    return [
        [
            Patch({point: given[point][i][k] for point in points}, (position,))
            for k, position in enumerate(of_prompt)
        ]
        for i, of_prompt in enumerate(positions)
    ]


def centre_patches(
    centres: Mapping[HookPoint, Float[Tensor, "prompt _"]],
    *,
    at: GateAt = "generated",
    patterns: Sequence[str | None] | None = None,
    threshold: Threshold | None = None,
    count: int,
) -> list[list[Patch]]:
    """Patches that keep each prompt's centre while the model reads and writes.

    With classes' means as centres this is interchange along the whole generation; with the mean of all
    activations it is mean ablation. `count` is the number of prompts; `patterns` has one for each. Raises
    UserError for lists of another length.
    """
    gates = [None] * count if patterns is None else patterns
    for name, each in (("patterns", gates), *((f"centres at {p}", centres[p]) for p in sorted(centres))):
        if len(each) != count:
            raise UserError(f"expected {name} for each of {count} prompts, got {len(each)}")
    return [
        [Patch({point: centre[i] for point, centre in centres.items()}, at, pattern, threshold)]
        for i, pattern in enumerate(gates)
    ]


def points_of(settings: Sequence[Subspaces]) -> list[HookPoint]:
    """The hook points of all settings, in order."""
    return sorted({point for subspaces in settings for point in subspaces})


def _put(point: HookPoint, basis: Tensor | None, patch: Patch) -> Intervention:
    activation, whole = patch.activations[point], basis is None
    return Intervention(
        point,
        activation if basis is None else basis,
        1.0,
        patch.at,
        "replace" if whole else "affine",
        None if whole else activation,
        pattern=patch.pattern,
        threshold=patch.threshold,
    )
