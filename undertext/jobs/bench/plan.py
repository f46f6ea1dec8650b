"""Which worlds the bench has, and which of them rules may be fixed on: configs/bench.yaml."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from undertext.activations.errors import UserError
from undertext.core.config import Config, read_config
from undertext.core.shipped import config_file
from undertext.jobs.bench.case import PARTS, Part
from undertext.organisms.bench.families import FAMILIES
from undertext.organisms.bench.recipes import ORGANISMS, Organism
from undertext.organisms.bench.world import Tokens, World
from undertext.organisms.shapes import Shape


def judged_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, where each is that of an organism that is judged, and none comes again; else ValueError."""
    valid = [organism.name for organism in ORGANISMS.values() if organism.judged]
    if unknown := [name for name in names if name not in valid]:
        raise ValueError(f"expected organisms ({', '.join(valid)}), got {', '.join(unknown)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each organism once, got {', '.join(twice)} again")
    return names


class WorldPlan(Config):
    """A world, and which of its organisms are judged."""

    family: str
    """Name of the family of problems."""
    shape: Shape
    """Architecture of the checkpoints."""
    tokens: Tokens
    """Tokenizer of the checkpoints."""
    seed: int = Field(ge=0)
    """Random seed of the world's problems and of its training."""
    part: Part
    """Whether rule and calibration may be fixed on the world, or are only reported on it."""
    quick: bool = False
    """Whether the quick set has the world."""
    d_model: int = Field(default=64, ge=8, le=1024, multiple_of=8)
    """Width of the checkpoints."""
    layers: int = Field(default=4, ge=1, le=32)
    """Number of layers of the checkpoints."""
    organisms: tuple[str, ...] = Field(min_length=1)
    """Organisms that are judged beside their parents. Parents are built with them."""

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        if family not in FAMILIES:
            raise ValueError(f"expected a family ({', '.join(FAMILIES)})")
        return family

    @field_validator("organisms")
    @classmethod
    def _judged(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return judged_once(names)

    @model_validator(mode="after")
    def _fit(self) -> "WorldPlan":
        if unfit := [o.name for o in self.tuned if not o.fits(self.world.family)]:
            wanted = f"organisms for which {self.family} has the wordings or types"
            raise ValueError(f"expected {wanted}, got {', '.join(unfit)}")
        return self

    @property
    def world(self) -> World:
        """The world itself."""
        return World(self.family, self.shape, self.tokens, self.seed, self.d_model, self.layers)

    @property
    def tuned(self) -> list[Organism]:
        """The organisms that are judged beside their parents, in the order of the recipes."""
        return [organism for organism in ORGANISMS.values() if organism.name in self.organisms]


class BenchPlan(Config):
    """The worlds of the bench."""

    quick: tuple[str, ...]
    """Organisms of the quick set, where a world of the quick set has them."""
    worlds: tuple[WorldPlan, ...]
    """Every world, in the order in which they are built."""

    @field_validator("quick")
    @classmethod
    def _judged(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return judged_once(names)

    @model_validator(mode="after")
    def _sound(self) -> "BenchPlan":
        for world in self.worlds:
            if world.quick and not set(world.organisms) & set(self.quick):
                raise ValueError(f"expected organisms of the quick set in {world.world.name}, got none")
        names = [world.world.name for world in self.worlds]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected each world once, got {', '.join(twice)} again")
        for what in ("family", "shape", "seed"):
            parts = [{getattr(w, what) for w in self.worlds if w.part == part} for part in PARTS]
            if both := sorted(map(str, set.intersection(*parts))):
                raise ValueError(f"expected no {what} in both parts, got {', '.join(both)}")
        return self

    def of(self, size: Literal["quick", "standard"], only: tuple[str, ...] = ()) -> list[WorldPlan]:
        """The worlds of a set; `only` names families or worlds. UserError where nothing is left."""
        kept = [world for world in self.worlds if size == "standard" or world.quick]
        if size == "quick":
            kept = [
                world.model_copy(update={"organisms": tuple(o for o in world.organisms if o in self.quick)})
                for world in kept
            ]
        names = {name for world in kept for name in (world.family, world.world.name)}
        if unknown := [name for name in only if name not in names]:
            raise UserError(
                f"expected families or worlds of the set ({', '.join(sorted(names))}), got {unknown}"
            )
        left = [world for world in kept if not only or {world.family, world.world.name} & set(only)]
        if not left:
            raise UserError(f"expected worlds in the set {size}, got none")
        return left


def read_plan(path: str | Path | None = None) -> BenchPlan:
    """The plan in a file; None: the one that comes with undertext."""
    return read_config(BenchPlan, config_file("bench.yaml") if path is None else path)
