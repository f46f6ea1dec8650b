"""At which tokens a vector acts: the entries of `positions` in a config."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from undertext.activations.hookpoint import GateAt
from undertext.activations.patterns import pattern_groups

ENTRY = f"{', '.join(get_args(GateAt))}, or a mapping such as {{first: 4}}"


class GateConfig(BaseModel):
    """Where a vector acts: `at`, narrowed down by all else that is given.

    Written as the name of a gate (`last_prompt`), or as a mapping (`{at: all, pattern: find}`), in YAML and,
    as text, on the command line.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, coerce_numbers_to_str=True
    )

    FLAG: ClassVar[str] = "--positions"
    METAVAR: ClassVar[str] = "PLACE"
    """How the command line names one: see `core.command`."""

    at: GateAt | None = None
    """None is `generated` with `first` or `decay`, and else `all`."""
    first: Annotated[int, Field(ge=1)] | None = None
    """Of the generated tokens that are read back in, only the first so many."""
    decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """At the t-th generated token, from 0, the dose is multiplied by `decay ** t`."""
    tokens: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Only where one of these tokens is read."""
    pattern: str | None = None
    """Only where the text so far ends in a match of this regular expression."""
    above: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Only where the vector's direction reads the activation above this quantile of what it reads at all
    tokens of the training prompts."""
    reading: str | None = None
    """The vector whose direction reads for `above`; None is each vector's own."""

    @classmethod
    def from_text(cls, text: str) -> "GateConfig":
        """The entry that a text stands for. ValueError, in one line, for anything else."""
        try:
            return cls.model_validate(text)
        except ValidationError as error:
            details = error.errors()[0]
            key = "".join(f"{part}: " for part in details["loc"])
            raise ValueError(f"{key}{details['msg'].removeprefix('Value error, ')}, got {text!r}") from error

    @model_validator(mode="before")
    @classmethod
    def _mapping_of(cls, value: Any) -> Any:
        """The mapping that a name or a text stands for; ValueError for anything else."""
        if isinstance(value, str):
            if value in get_args(GateAt):
                return {"at": value}
            try:
                read = yaml.safe_load(value)
            except yaml.YAMLError:
                read = None
            value = read if isinstance(read, dict) else value
        if isinstance(value, GateConfig):
            return value
        if not isinstance(value, Mapping) or not value:
            raise ValueError(f"expected {ENTRY}")
        unknown = [key for key in value if key not in cls.model_fields]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (valid: {', '.join(cls.model_fields)})")
        return dict(value)

    @model_validator(mode="after")
    def _makes_sense(self) -> "GateConfig":
        if self.pattern is not None:
            pattern_groups(self.pattern)
        for name in ("first", "decay"):
            if getattr(self, name) is not None and self.place in ("last_prompt", "prompt"):
                raise ValueError(f"{name} is of generated tokens, of which there are none at {self.place}")
        if self.reading is not None and self.above is None:
            raise ValueError("reading needs above, the quantile")
        return self

    @model_serializer
    def _plain(self) -> Any:
        """As it is written: a name or a mapping."""
        given = {
            name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None
        }
        return self.at if list(given) == ["at"] else given

    @property
    def place(self) -> GateAt:
        """`at`, or what stands for None."""
        if self.at is not None:
            return self.at
        return "all" if self.first is None and self.decay is None else "generated"

    def __str__(self) -> str:
        """As it is written on the command line."""
        plain = self._plain()
        if isinstance(plain, str):
            return plain
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
        return yaml.safe_dump(listed, default_flow_style=True, sort_keys=False, width=10_000).strip()
