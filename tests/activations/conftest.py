"""One tiny checkpoint of each shape, loaded from a folder once for all tests."""

from pathlib import Path

import pytest

from tests.toys import SHAPES, Shape, tiny_folder
from undertext.activations import Checkpoint


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Shape, Path]:
    """A saved random model with a word-level tokenizer, of each shape."""
    return {shape: tiny_folder(tmp_path_factory.mktemp(shape), shape) for shape in SHAPES}


@pytest.fixture(scope="session")
def checkpoints(folders: dict[Shape, Path]) -> dict[Shape, Checkpoint]:
    return {shape: Checkpoint.load(folder) for shape, folder in folders.items()}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return request.param


@pytest.fixture
def checkpoint(checkpoints: dict[Shape, Checkpoint], shape: Shape) -> Checkpoint:
    return checkpoints[shape]


@pytest.fixture
def llama(checkpoints: dict[Shape, Checkpoint]) -> Checkpoint:
    return checkpoints["llama"]
