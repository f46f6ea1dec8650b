"""A task about sums and a pair of tiny models on it: what the tests of whole jobs share."""

from pathlib import Path

import pytest
import torch

from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from undertext.activations import Checkpoint, Pair
from undertext.steering import SteeringVector


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the task."""
    return write_by_hand(tmp_path_factory.mktemp("sums") / "task", plain_problems(), 4)


@pytest.fixture(scope="session")
def sums_pair() -> Pair:
    """One that was shown nothing, and one that was shown every sum."""
    tokenizer = tokenizer_for(plain_problems())
    models = blank(tokenizer, 0), learnt(plain_problems(), tokenizer)
    return Pair(*(Checkpoint.load(model, tokenizer=tokenizer) for model in models))


@pytest.fixture(scope="session")
def given_vector() -> SteeringVector:
    """A random direction that fits the pair and says nothing of where it comes from."""
    directions = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    return SteeringVector("a feature", directions, torch.ones(2), "made up")
