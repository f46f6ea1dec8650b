"""Configs: frozen pydantic models; the YAML in configs/ and the flags of commands are made from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undertext.activations.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Dtype = Literal["float32", "bfloat16", "float16"]
Model = TypeVar("Model", bound=BaseModel)

WORK_ONLY = frozenset({"device", "threads", "batch_size", "checkpoint_every"})
"""Fields that change how the work is done and not what is measured: an interrupted job may go on under other
values of these."""


class Config(BaseModel):
    """Frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        for field in cls.model_fields.values():  # a line of help is broken where the terminal ends
            field.description = " ".join((field.description or "").split())


class RunConfig(Config):
    """The settings that every job has."""

    seed: int = Field(default=0, ge=0)
    """Random seed."""
    device: str = "cpu"
    """Device that checkpoints are loaded on: cpu, cuda, cuda:1 or mps."""
    dtype: Dtype = "float32"
    """Precision that checkpoints are loaded in."""
    threads: int | None = Field(default=None, ge=1)
    """Number of CPU threads for torch; None leaves torch's own setting. On a shared machine fewer threads are
    often faster."""
    batch_size: int = Field(default=512, ge=1)
    """Number of rows that are generated together."""


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
    problems = []
    for details in error.errors():
        key = ".".join(str(part) for part in details["loc"]) or "config"
        if details["type"] == "extra_forbidden":
            problems.append(f"unknown key {key!r} (valid: {', '.join(kind.model_fields)})")
        elif details["type"] == "missing":
            problems.append(f"missing key {key!r}")
        else:
            # What our own validators say needs no word on how they say it.
            problems.append(
                f"{key}: {details['msg'].removeprefix('Value error, ')}, got {details['input']!r}"
            )
    return "; ".join(problems)


def part_of(kind: type[Model], whole: BaseModel) -> Model:
    """The fields of `whole` that a config of this kind has, as such a config."""
    return kind.model_validate({name: getattr(whole, name) for name in kind.model_fields})
