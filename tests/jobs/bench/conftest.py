"""A bench of organisms that are hardly trained."""

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


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A plan's file; of its worlds few problems are asked, and organisms are trained for two steps."""
    few = dict.fromkeys(("train", "dev", "test", "ood"), 6)
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("undertext.organisms.bench.world.SPLITS", few)
        patch.setattr(build, "RELEARNING", replace(build.RELEARNING, steps=1, batch=6))
        for name, organism in ORGANISMS.items():
            quick = tuple(replace(stage, steps=2, batch=6) for stage in organism.stages)
            patch.setitem(ORGANISMS, name, replace(organism, stages=quick))
        yield path
