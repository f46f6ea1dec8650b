"""Noise on the weights: of the size that was asked for, and gone afterwards."""

import pytest
import torch

from tests.toys import SHAPES, tiny_folder
from undertext.activations import Checkpoint, UserError
from undertext.activations.noise import noisy


def copies(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in checkpoint.model.named_parameters()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_matrix_has_noise_of_its_own_size_and_is_put_back(shape, dtype, tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m", shape, d_model=64), dtype=dtype)
    before = copies(checkpoint)

    def fails_within() -> None:
        with noisy(checkpoint, 0.5, seed=3):
            for name, tensor in checkpoint.model.named_parameters():
                added = (tensor.detach() - before[name]).float()
                if tensor.ndim < 2:
                    assert not added.any(), name
                    continue
                size = before[name].float().square().mean().sqrt()
                assert float(added.std() / size) == pytest.approx(0.5, rel=0.1), name
                assert abs(float(added.mean() / size)) < 0.1, name
            raise RuntimeError("within")

    with pytest.raises(RuntimeError, match="within"):
        fails_within()
    assert all(torch.equal(tensor, before[name]) for name, tensor in checkpoint.model.named_parameters())


def test_a_seed_is_one_noise(tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m"))
    seen = []
    for seed in (0, 0, 1):
        with noisy(checkpoint, 0.1, seed=seed):
            seen.append(torch.cat([t.flatten() for t in copies(checkpoint).values()]))
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(scale, tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "m"))
    with (
        pytest.raises(UserError, match="expected a scale of noise above 0"),
        noisy(checkpoint, scale, seed=0),
    ):
        pass
