"""Whether what is read is used: another problem's value is put into a subspace, and the model writes on.

After Geiger et al. (arXiv 2106.02997) and, for subspaces, Wu et al. (arXiv 2305.08809).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import GateAt, Intervention, Threshold

Subspaces = Mapping[HookPoint, Float[Tensor, "_ _"] | None]
"""The hook points at which something is put in, all at once, and the rows [k, width] that span the subspace
at each: None for the whole activation. Without a hook point nothing is changed."""
Grade = Callable[[int, str], tuple[bool, ...]]
"""`grade(i, text)`: whether what was written after prompt `i` is this, that, ..., always as many."""


@dataclass(frozen=True, eq=False)
class Changed:
    """What was written under each setting after each prompt."""

    texts: list[list[str]]
    """`texts[setting][prompt]`."""
    is_: Bool[Tensor, "setting prompt grade"]
    """What `grade` says of each."""
    touched: list[list[int]]
    """At how many tokens each row was changed, `touched[setting][prompt]`."""


def interchange(
    checkpoint: Checkpoint,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    sources: Sequence[Sequence[int]],
    source_positions: Sequence[Sequence[int]],
    settings: Sequence[Subspaces],
    grade: Grade,
    *,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Changed:
    """Put each source's activation into its prompt, in every setting's subspaces, and write on greedily.

    All settings are rows of the same batches.

    Args:
        checkpoint: what reads and writes.
        prompts: token ids.
        positions: tokens of each prompt that are changed (negative ones count from its end).
        sources: token ids of the text whose activations each prompt is given.
        source_positions: tokens of each source, one for each position in the prompt.
        settings: what is changed, at which hook points and in which subspaces.
        grade: what is to be known about a text.
        max_new_tokens: as for `activations.generate`, and so are the rest.
        stop: likewise.
        batch_size: likewise.
        progress: likewise.

    Raises:
        UserError: for lists of different lengths, and whatever `capture` and `generate` refuse.
    """
    counts = {len(each) for each in (prompts, positions, sources, source_positions)}
    if len(counts) > 1:
        raise UserError(
            f"expected positions, a source and its positions for each of {len(prompts)} prompts, got "
            f"{len(positions)}, {len(sources)} and {len(source_positions)}"
        )
    for i, (here, there) in enumerate(zip(positions, source_positions, strict=True)):
        if len(here) != len(there):
            raise UserError(
                f"prompt {i}: expected as many positions in its source as in itself, "
                f"got {len(there)} and {len(here)}"
            )
    given = _activations(checkpoint, sources, source_positions, settings)
    acting = [
        [
            [
                _put(point, basis, activation, (position,))
                for point, basis in subspaces.items()
                for position, activation in zip(here, given[point][i], strict=True)
            ]
            for i, here in enumerate(positions)
        ]
        for subspaces in settings
    ]
    return _write(
        checkpoint, prompts, acting, grade,
        max_new_tokens=max_new_tokens, stop=stop, batch_size=batch_size, progress=progress,
    )  # fmt: skip


def patch_subspace(
    checkpoint: Checkpoint,
    prompts: Sequence[Sequence[int]],
    centres: Mapping[HookPoint, Float[Tensor, "prompt _"]],
    settings: Sequence[Subspaces],
    grade: Grade,
    *,
    at: GateAt = "generated",
    patterns: Sequence[str | None] | None = None,
    threshold: Threshold | None = None,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Changed:
    """Keep each prompt's centre in every setting's subspaces while the model reads and writes.

    With classes' means as centres this is interchange along the whole generation; with the mean of all
    activations it is mean ablation.

    Args:
        checkpoint: what reads and writes.
        prompts: token ids.
        centres: at every hook point of the settings, the activation whose part in the subspace is put in.
        settings: what is changed, at which hook points and in which subspaces.
        grade: what is to be known about a text.
        at: at which tokens.
        patterns: for each prompt a regular expression, and then only where the text so far ends in a
            match of it; None for any text.
        threshold: only where this holds.
        max_new_tokens: as for `activations.generate`, and so are the rest.
        stop: likewise.
        batch_size: likewise.
        progress: likewise.

    Raises:
        UserError: for lists of different lengths, a hook point without centres, and whatever `generate`
            refuses.
    """
    wanted = {point for subspaces in settings for point in subspaces}
    if missing := wanted - set(centres):
        raise UserError(f"expected centres at every hook point, got none at {min(missing)}")
    gates = [None] * len(prompts) if patterns is None else patterns
    for name, each in (("patterns", gates), *((f"centres at {p}", centres[p]) for p in sorted(wanted))):
        if len(each) != len(prompts):
            raise UserError(f"expected {name} for each of {len(prompts)} prompts, got {len(each)}")
    acting = [
        [
            [
                _put(point, basis, centres[point][i], at, pattern, threshold)
                for point, basis in subspaces.items()
            ]
            for i, pattern in enumerate(gates)
        ]
        for subspaces in settings
    ]
    return _write(
        checkpoint, prompts, acting, grade,
        max_new_tokens=max_new_tokens, stop=stop, batch_size=batch_size, progress=progress,
    )  # fmt: skip


def _put(
    point: HookPoint,
    basis: Tensor | None,
    activation: Tensor,
    at: GateAt | tuple[int, ...],
    pattern: str | None = None,
    threshold: Threshold | None = None,
) -> Intervention:
    whole = basis is None
    return Intervention(
        point,
        activation if basis is None else basis,
        1.0,
        at,
        "replace" if whole else "affine",
        None if whole else activation,
        pattern=pattern,
        threshold=threshold,
    )


def _activations(
    checkpoint: Checkpoint,
    sources: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    settings: Sequence[Subspaces],
) -> dict[HookPoint, list[Tensor]]:
    """By hook point, those of each source [position, d_model]."""
    points = sorted({point for subspaces in settings for point in subspaces})
    if not points:
        return {}
    captured = capture(checkpoint, sources, points, positions)
    lengths = [len(each) for each in positions]
    return {point: list(captured[point].split(lengths)) for point in points}


def _write(
    checkpoint: Checkpoint,
    prompts: Sequence[Sequence[int]],
    acting: Sequence[Sequence[Sequence[Intervention]]],
    grade: Grade,
    *,
    max_new_tokens: int,
    stop: Sequence[str],
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> Changed:
    out = generate(
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
    texts = [out.texts[span] for span in spans]
    grades = [[grade(i, text) for i, text in enumerate(row)] for row in texts]
    width = len(grades[0][0]) if acting and n else 0
    is_ = tensor(grades, dtype=torch.bool).reshape(len(acting), n, width)
    return Changed(texts, is_, [out.touched[span] for span in spans])
