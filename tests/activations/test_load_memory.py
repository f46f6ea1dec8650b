"""A model is loaded straight into its place: none of its weights is ever in memory twice."""

from pathlib import Path

import pytest
import torch

from tests.toys import random_model, save_folder, tiny_config, word_tokenizer
from undertext.activations import Checkpoint


def kernel_says(field: str) -> int:
    """Bytes from /proc: `VmHWM` is the most that was resident since it was last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with 180 MiB of float32 weights."""
    tokenizer = word_tokenizer()
    model = random_model(tiny_config("llama", len(tokenizer), n_layers=9, d_model=768))
    return save_folder(tmp_path_factory.mktemp("large"), model, tokenizer)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 0.5), (torch.bfloat16, 1.8)])
def test_peak_memory_while_loading(large: Path, dtype: torch.dtype, most: float):
    file = large / "model.safetensors"
    Checkpoint.load(large)  # what is imported on the way is not the model's
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before = kernel_says("VmRSS")
    checkpoint = Checkpoint.load(large, dtype=dtype)
    assert checkpoint.dtype == dtype
    # In the file's own dtype its mapped pages are the weights, and come when they are first looked at. When
    # converted, the weights are half of the file, and the pages they were read from are all of it.
    assert (kernel_says("VmHWM") - before) / file.stat().st_size < most
