"""Whether a feature does anything: answers with it ablated, clamped or added, beside features like it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.hookpoint import GateAt, HookPoint
from undertext.activations.interventions import Intervention

FeatureOperator = Literal["ablate", "clamp", "add"]

NEAREST = 4
"""Controls are drawn from this many times as many of the features nearest in frequency."""


@dataclass(frozen=True, eq=False)
class Matched:
    """Features and, for each, others to compare it with."""

    features: Int[Tensor, " f"]
    controls: Int[Tensor, "f control"]
    """Drawn from those nearest in frequency, none of them among `features`."""
    frequency: Float[Tensor, "f one_and_controls"]
    """Share of rows that each fires at, the feature first: how near they are."""
    vectors: Float[Tensor, "f one_and_controls d_model"]
    """Decoder rows, the feature's own first, those of its controls scaled to the same norm."""


def match_controls(
    directions: Float[Tensor, "d_sae d_model"],
    frequency: Float[Tensor, " d_sae"],
    features: Sequence[int],
    *,
    controls: int,
    seed: int,
) -> Matched:
    """Draw `controls` random features of equal norm and like frequency for each of `features`.

    Args:
        directions: decoder rows, as `decoder_directions` gives them.
        frequency: share of rows that each feature fires at.
        features: those to be tested; none of them serves as a control of another.
        controls: how many for each; drawn from the nearest by the log of the frequency, four times as many
            where there are, among features that fire and write anything.
        seed: of the draw.

    Raises:
        UserError: for a feature that is not there, never fires or writes nothing, and when too few are left
            to draw from.
    """
    live = (frequency > 0) & (directions.norm(dim=1) > 0)
    for feature in features:
        if not 0 <= feature < len(directions):
            raise UserError(f"expected features from 0 to {len(directions) - 1}, got {feature}")
        if not live[feature]:
            raise UserError(f"feature {feature} never fires, or writes nothing: there is nothing like it")
    live[list(features)] = False
    pool = live.nonzero()[:, 0]
    if not features or len(pool) < controls:
        raise UserError(
            f"expected features to test, and {controls} others that fire as controls; "
            f"got {len(features)} and {len(pool)}"
        )
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for feature in features:
        apart = (frequency[pool].log() - frequency[feature].log()).abs()
        near = pool[apart.argsort(stable=True)[: NEAREST * controls]]
        chosen = near[torch.randperm(len(near), generator=draw)[:controls]]
        rows.append(torch.cat((torch.tensor([feature]), chosen)))
    members = torch.stack(rows)
    vectors = torch.nn.functional.normalize(directions[members], dim=-1)
    norms = directions[members[:, 0]].norm(dim=-1)
    return Matched(members[:, 0], members[:, 1:], frequency[members], vectors * norms[:, None, None])


@dataclass(frozen=True, eq=False)
class Effects:
    """Which problems one checkpoint answers right as it is, and with a feature changed."""

    matched: Matched
    plain: Bool[Tensor, " problem"]
    """As it is."""
    changed: Bool[Tensor, "f problem"]
    """With the feature changed."""
    controls: Bool[Tensor, "f control problem"]
    """With its controls changed instead, by the same operator and dose."""


def feature_effects(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    right: Callable[[int, str, bool], bool],
    matched: Matched,
    point: HookPoint,
    *,
    operator: FeatureOperator = "ablate",
    dose: float | Sequence[float] = 1.0,
    at: GateAt = "all",
    max_new_tokens: int,
    stop: Sequence[str] = (),
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Effects:
    """Answer every prompt greedily, with each feature and each of its controls changed along its decoder row.

    Called with the same `matched` for base and for tuned, it says whether a feature does the same in both.

    Args:
        checkpoint: what answers.
        prompts: one for each problem.
        right: `right(i, text, cut)` says whether a text is right for problem i; `cut` says that it was cut at
            `max_new_tokens`.
        matched: from `match_controls`.
        point: where the SAE reads.
        operator: `ablate` takes the direction out of the activation at dose 1; `clamp` sets the coordinate
            along it to the dose; `add` adds the row, at its own norm, so many times.
        dose: one, or one for each feature (a multiple of its mean strength, say); its controls take the same.
        at: at which tokens.
        max_new_tokens: most tokens of an answer.
        stop: strings that end an answer.
        batch_size: most rows that are generated together.
        progress: called with the number of answers finished since its last call.

    Raises:
        UserError: for doses that are not one for each feature, no prompts, and all that `generate` refuses.
    """
    n_features, members = matched.vectors.shape[:2]
    doses = [float(dose)] * n_features if isinstance(dose, int | float) else list(map(float, dose))
    if len(doses) != n_features or not prompts:
        raise UserError(
            f"expected prompts, and one dose or one for each of {n_features} features; "
            f"got {len(prompts)} and {len(doses)}"
        )
    changes: list[Intervention | None] = [None]
    for vectors, each in zip(matched.vectors, doses, strict=True):
        changes += [Intervention(point, vector, each, at, operator) for vector in vectors]
    repeated: Any = [prompt for _ in changes for prompt in prompts]
    written = generate(
        checkpoint,
        repeated,
        max_new_tokens=max_new_tokens,
        stop=stop,
        interventions=[change for change in changes for _ in prompts],
        batch_size=batch_size,
        progress=progress,
    )
    rows = enumerate(zip(written.texts, written.cut, strict=True))
    answers = torch.tensor([bool(right(i % len(prompts), *each)) for i, each in rows])
    plain, rest = answers.split((len(prompts), len(answers) - len(prompts)))
    by_member = rest.view(n_features, members, len(prompts))
    return Effects(matched, plain, by_member[:, 0], by_member[:, 1:])
