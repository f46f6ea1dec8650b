"""Settings of a steering search."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from undertext.core.config import GradingConfig, PairConfig
from undertext.measures.recovery.gate_config import GateConfig

SearchedOperator = Literal["add", "ablate", "clamp", "rotate"]
"""Operators that need nothing but a vector and a dose."""


class SearchConfig(PairConfig, GradingConfig):
    """How a steering search is made, and what it is reported on."""

    splits: tuple[str, ...] | None = None
    """Splits that results are reported on; None takes every split beside train and dev."""
    layers: tuple[int, ...] | None = None
    """Layers that are steered and probed; None takes at most `max_layers` of them, evenly spaced, the last
    included."""
    max_layers: int = Field(default=8, ge=1)
    """Largest number of layers where `layers` is not given."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of sampled answers, those that vectors are made from among them."""
    vector_problems: int = Field(default=128, ge=2)
    """Largest number of problems of train that vectors are made from."""
    search_problems: int = Field(default=64, ge=2)
    """Largest number of problems of dev that steering settings are searched on."""
    doses: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(0.5, 1.0, 2.0, 4.0), min_length=1)
    """Steering doses: of add and clamp in units of the mean residual norm at the layer, of ablate and rotate
    shares of the change."""
    positions: tuple[GateConfig, ...] = Field(
        default=(GateConfig(at="last_prompt"), GateConfig(at="generated")), min_length=1
    )
    """Tokens at which vectors act: last_prompt, prompt, generated, all, or a mapping with any of at, first,
    decay, tokens, pattern, above and reading, such as '{first: 4}'."""
    random_directions: int = Field(default=4, ge=1)
    """Number of random directions that go through the same search as controls."""
    sae: Path | None = None
    """Folder of an SAE of sae-lens that reads resid_post; the best features of the SAE are steered with as
    well."""
    sae_features: int = Field(default=2, ge=1)
    """Number of features of the SAE that are taken from the top of each ranking of features."""
    random_features: int = Field(default=4, ge=1)
    """Number of random features of similar firing frequency that go through the same search as controls of
    each feature of the SAE."""
    operators: tuple[SearchedOperator, ...] = Field(default=("add",), min_length=1)
    """Operators that the search tries on each vector: add, ablate, clamp, rotate."""
    search: Literal["grid", "halving"] = "halving"
    """Kind of search: halving gives ever fewer settings ever more problems, each vector and control by
    itself; grid tries every setting on every problem."""
    side_texts: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    """Texts on which side effects of steering are measured; None takes plain sentences that are shipped, or
    prompts of train where the tokenizer does not know the words of these sentences."""

    @field_validator("positions")
    @classmethod
    def _each_once(cls, positions: tuple[GateConfig, ...]) -> tuple[GateConfig, ...]:
        twice = [str(each) for i, each in enumerate(positions) if each in positions[:i]]
        if twice:
            raise ValueError(f"expected each position once, {twice[0]} is there again")
        return positions
