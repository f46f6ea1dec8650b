"""Dose-response sweeps: every setting over every prompt, as rows of the same batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor, tensor

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.generation import generate
from activations.hookpoint import HookPoint
from activations.interventions import Intervention

Where = Literal["last_prompt", "prompt", "generated", "all"]


class Setting(NamedTuple):
    """What is added, where and how much of it."""

    vector: str
    layer: int
    dose: float
    """In units of the mean residual norm at the layer."""
    at: Where


@dataclass(frozen=True)
class Sweep:
    """What came of each setting on each prompt."""

    settings: list[Setting]
    strict: Bool[Tensor, "setting prompt"]
    lenient: Bool[Tensor, "setting prompt"]
    texts: list[list[str]]
    """What was written, `texts[setting][prompt]`."""


class Vectors(NamedTuple):
    """Directions to choose from, over all layers, and the unit of dose at each."""

    by_name: Mapping[str, Float[Tensor, "layer d_model"]]
    """Unit vectors."""
    norms: Float[Tensor, " layer"]
    """Mean residual norm at each layer's `resid_post`."""


def grid(
    vectors: Sequence[str], layers: Sequence[int], doses: Sequence[float], at: Sequence[Where]
) -> list[Setting]:
    """Every combination, vectors outermost."""
    return [
        Setting(v, layer, dose, where) for v in vectors for layer in layers for where in at for dose in doses
    ]


def sweep(
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    settings: Sequence[Setting],
    vectors: Vectors,
    grade: Callable[[int, str], tuple[bool, bool]],
    *,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    batch_size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> Sweep:
    """Generate greedily from every prompt under every setting, added at `resid_post`.

    `grade(i, text)` says whether `text` is right for prompt `i`, strictly and leniently. Raises
    UserError for a setting whose vector or layer is not in `vectors`.
    """
    interventions = [_intervention(setting, vectors) for setting in settings]
    out = generate(
        checkpoint,
        [prompt for _ in settings for prompt in prompts],
        max_new_tokens=max_new_tokens,
        stop=stop,
        interventions=[each for each in interventions for _ in prompts],
        batch_size=batch_size,
        progress=progress,
    )
    n = len(prompts)
    texts = [out.texts[i * n : (i + 1) * n] for i in range(len(settings))]
    grades = tensor([[grade(i, text) for i, text in enumerate(row)] for row in texts]).reshape(
        len(settings), n, 2
    )
    return Sweep(list(settings), grades[..., 0].bool(), grades[..., 1].bool(), texts)


def _intervention(setting: Setting, vectors: Vectors) -> Intervention:
    direction = vectors.by_name.get(setting.vector)
    if direction is None:
        raise UserError(f"no vector {setting.vector!r}; there are: {', '.join(vectors.by_name)}")
    if not 0 <= setting.layer < len(direction):
        raise UserError(f"expected a layer from 0 to {len(direction) - 1}, got {setting.layer}")
    dose = setting.dose * float(vectors.norms[setting.layer])
    return Intervention(HookPoint(setting.layer, "resid_post"), direction[setting.layer], dose, setting.at)
