"""One tiny checkpoint of each family, loaded from its folder at both precisions, once for all tests."""

from pathlib import Path

import pytest
import torch

from tests.toys import FAMILIES, Family, family_folder
from undertext.activations import Checkpoint

DTYPES = (torch.float32, torch.bfloat16)


class Zoo:
    """Folders and checkpoints, made when they are first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._loaded: dict[tuple[Family, torch.dtype], Checkpoint] = {}

    def folder(self, family: Family) -> Path:
        folder = self.root / family
        return folder if folder.exists() else family_folder(folder, family)

    def load(self, family: Family, dtype: torch.dtype) -> Checkpoint:
        if (family, dtype) not in self._loaded:
            self._loaded[family, dtype] = Checkpoint.load(self.folder(family), dtype=dtype)
        return self._loaded[family, dtype]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(tmp_path_factory.mktemp("families"))


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture(params=DTYPES, ids=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture
def member(zoo: Zoo, family: Family, dtype: torch.dtype) -> Checkpoint:
    return zoo.load(family, dtype)


@pytest.fixture
def exact(zoo: Zoo, family: Family) -> Checkpoint:
    """The member in float32."""
    return zoo.load(family, torch.float32)


@pytest.fixture
def widened(zoo: Zoo, family: Family) -> Checkpoint:
    """The bfloat16 member's very weights, computing in float32: what it would say without its roundings."""
    rounded = zoo.load(family, torch.bfloat16)
    wide = Checkpoint.load(zoo.folder(family))
    wide.model.load_state_dict({name: value.float() for name, value in rounded.model.state_dict().items()})
    return wide
