"""One tiny model on the CPU and on the GPU, and how near their figures must be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tests.toys import SHAPES, Shape, tiny_folder
from undertext.activations import Checkpoint

GPU = "cuda"
NEAR = 1e-4
"""Share of the largest figure: some hundred times what float32 rounds by, and a tenth of what TF32 would."""


class Both(NamedTuple):
    cpu: Checkpoint
    gpu: Checkpoint


def both(folder: Path, shape: Shape = "llama", **sizes: int) -> Both:
    saved = tiny_folder(folder, shape, **sizes)
    return Both(Checkpoint.load(saved), Checkpoint.load(saved, device=GPU))


def shapes(folder: Path) -> dict[Shape, Both]:
    return {shape: both(folder / shape, shape) for shape in SHAPES}


def near(found: Tensor | Sequence[float], wanted: Tensor | Sequence[float], share: float = NEAR) -> None:
    """Of one shape, and no further apart than a share of the largest that is wanted."""
    one, other = (torch.as_tensor(each).cpu().double() for each in (found, wanted))
    assert one.shape == other.shape
    assert bool(((one - other).abs() <= share * other.abs().max()).all())


def alike(found: Any, wanted: Any) -> None:
    """Generations of the same tokens, with the same counts; margins and recorded activations near."""
    for name in ("texts", "tokens", "touched", "touched_prompt", "steered", "produced"):
        assert getattr(found, name) == getattr(wanted, name), name
    for one, other in zip(found.margins or [], wanted.margins or [], strict=True):
        torch.testing.assert_close(torch.tensor(one), torch.tensor(other), atol=1e-4, rtol=0)
    assert (found.captured is None) == (wanted.captured is None)
    if wanted.captured is not None:
        assert torch.equal(found.captured.rows, wanted.captured.rows)
        assert torch.equal(found.captured.positions, wanted.captured.positions)
        for point in wanted.captured.points:
            near(found.captured[point], wanted.captured[point])
