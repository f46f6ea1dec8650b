"""What a steering search can be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from undertext.core.config import RunConfig
from undertext.measures.recovery.gate_config import GateConfig

SearchedOperator = Literal["add", "ablate", "clamp", "rotate"]
"""Operators that need nothing but a vector and a dose."""


class SearchConfig(RunConfig):
    """How a steering search is made, and what it is reported on."""

    splits: tuple[str, ...] | None = None
    """Splits to judge, or to report on; None takes `test` and every split beside train, dev and test."""
    layers: tuple[int, ...] | None = None
    """Layers to steer and to probe; None takes at most `max_layers`, evenly spaced, the last among them."""
    max_layers: int = Field(default=8, ge=1)
    """How many layers are taken where `layers` is not given."""
    temperature: float = Field(default=1.0, gt=0)
    """Of those samples, and of rollouts."""
    vector_problems: int = Field(default=128, ge=2)
    """Problems of `train` that vectors are taken from, at most."""
    search_problems: int = Field(default=64, ge=2)
    """Problems of `dev` that steering settings are searched on, at most."""
    doses: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(0.5, 1.0, 2.0, 4.0), min_length=1)
    """Steering doses, in units of the mean residual norm at the layer."""
    positions: tuple[GateConfig, ...] = Field(
        default=(GateConfig(at="last_prompt"), GateConfig(at="generated")), min_length=1
    )
    """Where vectors act: last_prompt, prompt, generated, all, or a mapping with any of at, first, decay,
    tokens, pattern, above and reading, such as '{first: 4}'."""
    random_directions: int = Field(default=4, ge=1)
    """Matched random directions put through the same search."""
    sae: Path | None = None
    """Folder of an SAE of sae-lens that reads `resid_post`; its features are steered with as well."""
    sae_features: int = Field(default=2, ge=1)
    """Features taken by each way of ranking them."""
    random_features: int = Field(default=4, ge=1)
    """For each of those, random features of like firing frequency put through the same search."""
    operators: tuple[SearchedOperator, ...] = Field(default=("add",), min_length=1)
    """What is done with a vector: add, ablate, clamp, rotate. Doses of ablate and rotate are shares."""
    search: Literal["grid", "halving"] = "grid"
    """Every setting on every problem of the search, or ever fewer settings on ever more of them."""
    side_texts: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    """Text on which side effects of steering are read; None takes plain sentences that are shipped, or, where
    the tokenizer does not know their words, prompts of `train`."""

    @field_validator("positions")
    @classmethod
    def _each_once(cls, positions: tuple[GateConfig, ...]) -> tuple[GateConfig, ...]:
        twice = [str(each) for i, each in enumerate(positions) if each in positions[:i]]
        if twice:
            raise ValueError(f"expected each position once, {twice[0]} is there again")
        return positions
