"""Flags from a config class, over values from a YAML file: an option exists once."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
from pydantic import BaseModel, ValidationError

from undertext.activations.errors import UserError
from undertext.core.config import problems_of, read_config

Model = TypeVar("Model", bound=BaseModel)
_REGISTRY = tyro.constructors.ConstructorRegistry()


class _Misread(Exception):
    """What is wrong with an argument. No ValueError: of those tyro says only that it cannot parse them."""


@_REGISTRY.primitive_rule
def _one_argument(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """A config that says how it is read `from_text` is one argument, as it stands in YAML."""
    if not isinstance(info.type, type) or not hasattr(info.type, "from_text"):
        return None
    kind: Any = info.type

    def read(args: list[str]) -> Any:
        try:
            return kind.from_text(args[0])
        except ValueError as error:
            raise _Misread(f"{kind.FLAG}: {error}") from error

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.METAVAR,
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


def parse(kind: type[Model], prog: str, args: Sequence[str], needs: Sequence[str] = ()) -> Model:
    """An instance of `kind` from flags; `--config FILE` gives the defaults that the flags override.

    Raises UserError for a config that is no good, and where one of the fields `needs` is not given; wrong
    flags end with usage on stderr and code 2.
    """
    given = _parsed(kind, prog, args)
    missing = [name.replace("_", "-") for name in needs if getattr(given, name) in (None, (), {})]
    if missing:
        raise UserError(f"expected --{', --'.join(missing)} (as a flag, or as a key of --config FILE)")
    return given


def _parsed(kind: type[Model], prog: str, args: Sequence[str]) -> Model:
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


def run_subcommand(
    command: str, args: Sequence[str], subcommands: Mapping[str, tuple[Callable[[Sequence[str]], int], str]]
) -> int:
    """Run the subcommand that `args` names first: each has what runs it and a line of help.

    Raises UserError, naming the subcommands, where `args` names none of them.
    """
    if args and args[0] in subcommands:
        return subcommands[args[0]][0](args[1:])
    if set(args) & {"-h", "--help"}:
        say(f"usage: undertext {command} SUBCOMMAND [OPTIONS]   (with --help it says more)\n")
        for name, (_, about) in subcommands.items():
            say(f"  {name:<9} {about}")
        return 0
    got = repr(args[0]) if args else "nothing"
    raise UserError(
        f"expected one of: {', '.join(f'undertext {command} {name}' for name in subcommands)}; got {got}"
    )


def say(text: str = "") -> None:
    """A line of a command's output."""
    print(text, file=sys.stdout, flush=True)
