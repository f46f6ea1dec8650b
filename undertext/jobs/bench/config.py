"""Settings of the bench."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from undertext.core.config import EngineConfig, Seed


class BenchConfig(EngineConfig):
    """What the bench's commands have in common."""

    size: Literal["quick", "standard"] = "standard"
    """Set of organisms: quick has six of two worlds, standard has all of the plan, and takes hours."""
    only: tuple[str, ...] = ()
    """Families or worlds to work on, such as chain or chain-llama-word-1; without any, the whole set. What
    was built or judged before stays, so that a bench can be done in several sittings."""
    plan: Path | None = None
    """YAML file that says which worlds there are; None takes the one that comes with undertext."""
    jobs: int = Field(default=2, ge=1)
    """Number of worlds or pairs that are worked on side by side, with one CPU thread each; engine ray has as
    many as its CPUs."""
    device: str = "cpu"
    """Device that organisms are trained, asked and judged on: cpu, cuda or cuda:1. Organisms of one recipe
    and seed differ a little from device to device."""
    engine: Literal["local", "ray"] = "local"
    """What the worlds or pairs are worked on by: local is processes of this machine (`jobs`); ray is a Ray
    cluster, a task for each, whose machines must all reach the bench's folder (it needs the extra ray:
    `pip install -e '.[ray]'` in the clone of undertext)."""


class RunConfig(BenchConfig):
    """Settings of judging."""

    seed: Seed = 0
    """Random seed of the judge."""
    judge: str | None = None
    """Function that judges a pair, as module:function (`undertext.jobs.bench.judges.Judge`); None takes our
    own verdict, with the baselines beside it."""
