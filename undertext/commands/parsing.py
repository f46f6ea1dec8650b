"""Flags from a config class, over values from a YAML file: an option exists once."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
from pydantic import BaseModel, ValidationError

from activations.errors import UserError
from undertext.config import problems_of, read_config
from undertext.gating import Gating, gating

Model = TypeVar("Model", bound=BaseModel)
_REGISTRY = tyro.constructors.ConstructorRegistry()


class _Misread(Exception):
    """What is wrong with an argument. No ValueError: of those tyro says only that it cannot parse them."""


def _gating(args: list[str]) -> Gating:
    try:
        return gating(args[0])
    except ValueError as error:
        raise _Misread(f"--positions: {error}") from error


@_REGISTRY.primitive_rule
def _position(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Gating] | None:
    """A place to steer at is one argument, as it stands in YAML."""
    if info.type is not Gating:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PLACE",
        instance_from_str=_gating,
        is_instance=lambda value: isinstance(value, Gating),
        str_from_instance=lambda value: [str(value)],
    )


def parse(kind: type[Model], prog: str, args: Sequence[str]) -> Model:
    """An instance of `kind` from flags; `--config FILE` gives the defaults that the flags override.

    Raises UserError for a config that is no good; wrong flags end with usage on stderr and code 2.
    """
    rest, file = _without_config(list(args))
    default: Any = read_config(kind, file) if file is not None else tyro.MISSING_NONPROP
    try:
        return tyro.cli(
            kind,
            prog=f"undertext {prog}",
            args=rest,
            default=default,
            config=(tyro.conf.FlagConversionOff,),
            registry=_REGISTRY,
        )
    except _Misread as error:
        raise UserError(str(error)) from error
    except ValidationError as error:
        raise UserError(problems_of(error, kind)) from error


def _without_config(args: list[str]) -> tuple[list[str], Path | None]:
    for i, arg in enumerate(args):
        if arg == "--config":
            if i + 1 == len(args):
                raise UserError("expected a file after --config, got nothing")
            return args[:i] + args[i + 2 :], Path(args[i + 1])
        if arg.startswith("--config="):
            return args[:i] + args[i + 1 :], Path(arg.removeprefix("--config="))
    return args, None


def say(text: str = "") -> None:
    """A line of a command's output."""
    print(text, file=sys.stdout, flush=True)
