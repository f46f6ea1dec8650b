"""What a comparison can be told: what the YAML in configs/ and the command line's flags are made from."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from activations.errors import UserError
from undertext.gating import Gating

SearchedOperator = Literal["add", "ablate", "clamp", "rotate"]
"""Operators that need nothing but a vector and a dose."""
Share = Annotated[float, Field(ge=0, le=1)]
Model = TypeVar("Model", bound=BaseModel)


class Config(BaseModel):
    """Frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Rule(Config):
    """Thresholds from evidence to verdict; configs/verdict.yaml holds their values and why."""

    level: Share
    """Coverage of every interval."""
    alpha: Share
    """Largest corrected p at which a line may say `latent`."""
    min_gap: Share
    """Accuracy difference from which one checkpoint counts as better; within it, as no different."""
    latent_above: Share
    """A line says `latent` when its share of the stronger checkpoint's figure is surely above this."""
    absent_below: Share
    """A line may say `absent` when that share is surely below this."""
    readable_above: Share
    """What is read must be readable in the stronger checkpoint by this much over the null to count."""
    min_problems: int = Field(ge=1)
    """Fewest problems a line of evidence must rest on; with fewer it says `unclear`."""


class SteerConfig(Config):
    """How `steer` measures, and `compare` where it steers."""

    splits: tuple[str, ...] | None = None
    """Splits to judge, or to report on; None takes `test` and every split beside train, dev and test."""
    seed: int = Field(default=0, ge=0)
    """Everything drawn at random hangs on it."""
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
    positions: tuple[Gating, ...] = Field(
        default=(Gating(at="last_prompt"), Gating(at="generated")), min_length=1
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
    batch_size: int = Field(default=512, ge=1)
    """Rows a batch of generation."""
    device: str = "cpu"
    """Where the checkpoints are loaded: cpu, cuda, cuda:1, mps."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for torch; None leaves torch's setting. On a shared machine, fewer is often faster."""

    @field_validator("positions")
    @classmethod
    def _each_once(cls, positions: tuple[Gating, ...]) -> tuple[Gating, ...]:
        twice = [str(each) for i, each in enumerate(positions) if each in positions[:i]]
        if twice:
            raise ValueError(f"expected each position once, {twice[0]} is there again")
        return positions


class RoutesConfig(SteerConfig):
    """How `routes` measures."""

    budget: int = Field(default=8, ge=1)
    """Rows a problem that a route may write, each of the task's `max_new_tokens`."""
    shots: int = Field(default=2, ge=1)
    """Solved examples in a prompt."""
    fit_steps: int = Field(default=60, ge=1)
    """Updates of the fitted vector at each layer."""
    rlvr_steps: int = Field(default=60, ge=0)
    """Updates of what is trained by reward: a vector a layer, and the weights of a copy, which need 16 bytes
    each. 0 leaves both out."""
    rlvr_prompts: int = Field(default=32, ge=1)
    """Problems an update, `budget` samples of each, from all of train: few problems would be memorised."""
    rlvr_lr: float = Field(default=3e-4, gt=0)
    """Adam's step of the copy's weights, and"""
    vector_lr: float = Field(default=0.05, gt=0)
    """of the vectors, a share of the mean residual norm."""


class CompareConfig(SteerConfig):
    """How `compare` measures."""

    samples: int = Field(default=8, ge=1)
    """Sampled answers a problem in the gap, for pass@k."""
    max_classes: int = Field(default=20, ge=2)
    """A value with more distinct values than this is not read by a classifier."""


def config_file(name: str) -> Path:
    """A file of configs/, from the checkout or from the installed package."""
    package = Path(str(files("undertext")))
    for folder in (package / "_configs", package.parent / "configs"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"configs/{name} is missing from the installation of undertext at {package}")


def read_config(kind: type[Model], path: str | Path, overrides: Mapping[str, Any] | None = None) -> Model:
    """A config of this kind from a YAML file. Raises UserError naming file, key and what was expected."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the config {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"expected keys and values in the config {path}, got {type(values).__name__}")
    try:
        return kind.model_validate({**values, **(overrides or {})})
    except ValidationError as error:
        raise UserError(f"{path}: {problems_of(error, kind)}") from error


def problems_of(error: ValidationError, kind: type[BaseModel]) -> str:
    """Pydantic's findings on one line: which key, what is wrong, what is valid."""
    found = []
    for each in error.errors():
        key = ".".join(str(part) for part in each["loc"]) or "config"
        if each["type"] == "extra_forbidden":
            found.append(f"unknown key {key!r} (valid: {', '.join(kind.model_fields)})")
        elif each["type"] == "missing":
            found.append(f"missing key {key!r}")
        else:
            # What our own validators say needs no word on how they say it.
            found.append(f"{key}: {each['msg'].removeprefix('Value error, ')}, got {each['input']!r}")
    return "; ".join(found)


def verdict_rule() -> Rule:
    """The thresholds of configs/verdict.yaml."""
    return read_config(Rule, config_file("verdict.yaml"))
