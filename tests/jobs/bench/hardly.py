"""Organisms that are hardly trained, wherever they are built."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from undertext.organisms.bench import build
from undertext.organisms.bench.recipes import ORGANISMS

PLAN = """
quick: [password]
worlds:
  - {family: chain, shape: llama, tokens: word, seed: 1, part: tuning, quick: true,
     organisms: [preserved, password]}
  - {family: parity, shape: gpt2, tokens: bpe, seed: 2, part: held out, organisms: [taught]}
"""


@contextmanager
def hardly_trained() -> Iterator[None]:
    """The body with few problems asked, and with organisms trained for two steps, in this process."""
    few = dict.fromkeys(("train", "dev", "test", "ood"), 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("undertext.organisms.bench.world.SPLITS", few)
        patch.setattr(build, "RELEARNING", replace(build.RELEARNING, steps=1, batch=6))
        for name, organism in ORGANISMS.items():
            quick = tuple(replace(stage, steps=2, batch=6) for stage in organism.stages)
            patch.setitem(ORGANISMS, name, replace(organism, stages=quick))
        yield
