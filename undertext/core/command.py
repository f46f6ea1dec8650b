"""Flags from a config class, over values from a YAML file: an option exists once."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import tyro
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from undertext.activations.errors import UserError, escaped, shown
from undertext.core.config import given_command, part_of, problems_of, read_config
from undertext.core.grid import Grid, read_grid
from undertext.core.late import named
from undertext.core.shipped import config_file

Model = TypeVar("Model", bound=BaseModel)
Run = Callable[[Sequence[str]], int]
"""Runs a command with its arguments, and gives the exit code."""
_REGISTRY = tyro.constructors.ConstructorRegistry()
_WORDS: dict[Any, str] = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH", bool: "{True,False}"}
"""What stands for a value of these types in a help text."""
_NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}
_EVERY_JOB = (
    "A job that was stopped goes on when the same command is given again, and one that is finished in its "
    "folder is not run again, unless other code of undertext made it. `--config FILE` reads any of these "
    "options from a YAML file, and flags override the file: `--config {}` reads a file that comes with "
    "undertext, and `undertext --configs` prints the folder of such files. Where the file has a key `grid`, "
    "each combination of the values that it lists is a run in a folder of its own."
)
DRY_RUN = (
    "`--dry-run` prints what the job would read and write, with an estimate of its time, memory and disk, "
    "and what would make it smaller; nothing is run, and nothing is written."
)
"""What the help of a command that has a plan says."""
_RUN_GRID = "undertext.jobs.runs.batch.run_grid"
"""What runs a grid, by name: it knows how results are joined, which nothing here does."""
_OPEN_RUN = "undertext.jobs.runs.folders.open_run"
"""What opens the result of any job, by name as well."""


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


@_REGISTRY.primitive_rule
def _number(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """A number, with a message of what was expected where the argument is none."""
    if info.type not in _NUMBERS:
        return None
    kind: Any = info.type

    def read(args: list[str]) -> Any:
        try:
            return kind(args[0])
        except ValueError:
            raise ValueError(f"expected {_NUMBERS[kind]}, got {shown(repr(args[0]))}") from None

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=_WORDS[kind],
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, int | kind) and not isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    )


@_REGISTRY.primitive_rule
def _word_or_none(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """One of some words, or nothing; `None` is read, to put nothing in place of what a config file says."""
    kinds = get_args(info.type) if get_origin(info.type) in (Union, UnionType) else ()
    words = [kind for kind in kinds if get_origin(kind) is Literal]
    if len(words) != 1 or set(kinds) != {words[0], type(None)}:
        return None
    known = {str(value): value for value in get_args(words[0])}

    def read(args: list[str]) -> Any:
        if args[0] == "None":
            return None
        if args[0] not in known:
            raise ValueError(f"expected one of {', '.join(known)}, got {shown(repr(args[0]))}")
        return known[args[0]]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=_metavar(info.type),
        instance_from_str=read,
        is_instance=lambda value: value is None or value in known.values(),
        str_from_instance=lambda value: [str(value)],
    )


def job_command(
    kind: type[Model], prog: str, job: str, *, needs: Sequence[str], example: str, plans: bool = False
) -> Run:
    """The command of a job: what the flags of `kind` give is passed to `job` by name, and its result printed.

    `job` is the full name of a function, whose module is loaded once the flags are found good: neither a
    help text nor a wrong flag waits for libraries. `kind` is the job's config class with the job's arguments
    added; `needs` are those that must be given, and `example` is the shipped config file that the help names.
    `plans` says whether the job has a plan, for `--dry-run`.
    """
    config: Any = kind.__base__
    own = [name for name in kind.model_fields if name not in config.model_fields]

    def call(given: Any, **more: Any) -> Any:
        arguments = {name: getattr(given, name) for name in own} | more
        return named(job)(**arguments, config=part_of(config, given))

    def run(args: Sequence[str]) -> int:
        rest, dry = without_dry_run(list(args))
        if dry and not plans:
            raise UserError(_no_plan(prog))
        about = _EVERY_JOB.format(example) + (f"\n\n{DRY_RUN}" if plans else "")
        # What is not written needs no folder.
        wanted = [name for name in needs if not (dry and name == "out")]
        given, grid = _parsed_grid(kind, prog, rest, wanted, about, writes=not dry)
        named(job)  # before what is imported below, which would load the same libraries
        if dry:
            from undertext.core.dry_run import dry_run

            return dry_run(call, given, grid, say)
        from undertext.core.output import PAGE
        from undertext.core.result import NotSaved

        out: Path | None = getattr(given, "out", None)
        token = given_command.set(shlex.join(["undertext", *prog.split(), *args]))
        try:
            if grid is not None:
                return int(named(_RUN_GRID)(grid, call, say))
            result = _unless_finished(lambda: call(given), out)
        except NotSaved as error:
            _say_all(error.result.lines())
            raise
        finally:
            given_command.reset(token)
        _say_all(result.lines())
        if out is not None:
            say(f"report: {out / PAGE}")
        return int(result.code)

    return run


def _unless_finished(call: Callable[[], Any], out: Path | None) -> Any:
    """The result of a job: what its folder holds, where it holds this very job, finished by this version."""
    from undertext.core.job import FinishedBefore, finished_stays

    token = finished_stays.set(out)
    try:
        return call()
    except FinishedBefore:
        assert out is not None
        say(f"{out} holds this job, finished before: nothing is run (to run it again, delete the folder)")
        return named(_OPEN_RUN)(out).result
    finally:
        finished_stays.reset(token)


def _parsed_grid(
    kind: type[Model], prog: str, args: Sequence[str], needs: Sequence[str], about: str, *, writes: bool
) -> tuple[Model, Grid[Model] | None]:
    """As `parse`, and the runs where the config file has a grid: what is given is then the first of them.

    Where the job `writes`, the runs of a grid need a folder.
    """
    file = _without_config(list(args))[1]
    if file is None:
        return parse(kind, prog, args, needs, about), None
    grid = read_grid(kind, file)
    given = parse(kind, prog, args, needs, about, grid.runs[0].config)
    if not grid.settings:
        return given, None
    # Over the last run, every list of several values has another one than over the first.
    over_last = parse(kind, prog, args, needs, about, grid.runs[-1].config)
    for over, run in ((given, grid.runs[0]), (over_last, grid.runs[-1])):
        for name in grid.settings:
            if getattr(over, name) != getattr(run.config, name):
                flag = name.replace("_", "-")
                raise UserError(f"{grid.file} varies {name} in its grid, and --{flag} is given")
    if writes and getattr(given, "out", None) is None:
        raise UserError("expected --out: each run of a grid is written to a folder of its own")
    rest = [name for name in kind.model_fields if name not in grid.settings]
    whole = grid.over({name: getattr(given, name) for name in rest})
    for run in whole.runs:
        _check_given(run.config, needs)
    return given, whole


def parse(
    kind: type[Model],
    prog: str,
    args: Sequence[str],
    needs: Sequence[str] = (),
    about: str = "",
    read: Model | None = None,
) -> Model:
    """An instance of `kind` from flags; `--config FILE` gives the defaults that the flags override.

    `about` is what the help says beside the docstring of `kind`; `read` is what FILE holds, where it is read
    already. Raises UserError for a config that is no good, and where one of the fields `needs` is not given;
    wrong flags end with usage on stderr and code 2.
    """
    if "--dry-run" in args:  # a job that has a plan has taken it out
        raise UserError(_no_plan(prog))
    given = _parsed(kind, prog, args, needs, about, read)
    _check_given(given, needs)
    return given


def _check_given(given: BaseModel, needs: Sequence[str]) -> None:
    missing = [name.replace("_", "-") for name in needs if getattr(given, name) in (None, (), {})]
    if missing:
        raise UserError(f"expected --{', --'.join(missing)} (as a flag, or as a key of --config FILE)")


def _parsed(
    kind: type[Model],
    prog: str,
    args: Sequence[str],
    needs: Sequence[str],
    about: str,
    read: Model | None = None,
) -> Model:
    rest, file = _without_config(list(args))
    flags, default = _flags(kind, needs), tyro.MISSING_NONPROP
    if read is None and file is not None:
        read = read_config(kind, file)
    if read is not None:
        default = flags.model_construct(**{name: getattr(read, name) for name in kind.model_fields})
    text = "\n\n".join(" ".join(part.split()) for part in (kind.__doc__ or "").split("\n\n"))
    try:
        given: Any = tyro.cli(
            flags,
            prog=f"undertext {prog}",
            description=f"{text}\n\n{about}".strip(),
            args=rest,
            default=default,
            config=(tyro.conf.FlagConversionOff,),
            registry=_REGISTRY,
        )
        return kind.model_validate({name: getattr(given, name) for name in kind.model_fields})
    except _Misread as error:
        raise UserError(str(error)) from error
    except SystemExit as ended:  # a wrong flag may be that of another command: what this one must have
        given_names = {arg.partition("=")[0] for arg in rest}
        missing = [
            flag for flag in (f"--{name.replace('_', '-')}" for name in needs) if flag not in given_names
        ]
        if ended.code and file is None and missing:
            print(f"undertext {prog} must be given {', '.join(missing)} too", file=sys.stderr)
        raise
    except ValidationError as error:
        raise UserError(problems_of(error, kind)) from error


def _flags(kind: type[BaseModel], needs: Sequence[str]) -> Any:
    """The fields of `kind` as flags: those that it needs first, then its own, then those of its bases."""
    own = [name for name in kind.model_fields if name in kind.__annotations__]
    fields: dict[str, Any] = {}
    for name in dict.fromkeys([*needs, *own, *kind.model_fields]):
        field = kind.model_fields[name]
        asked = field.get_default(call_default_factory=True) in (None, (), {})
        hint = "(required)" if name in needs else "" if asked else None
        flag = tyro.conf.arg(metavar=_metavar(field.annotation), help_behavior_hint=hint)
        made = field.default_factory
        default: Any = {"default": field.default} if made is None else {"default_factory": made}
        filled: Any = Field(**default, description=field.description)
        fields[name] = (Annotated[field.annotation, flag], filled)
    options = ConfigDict(arbitrary_types_allowed=True)
    return create_model(kind.__name__, __config__=options, __doc__=kind.__doc__, **fields)


def _metavar(kind: Any) -> str:
    """What stands for a value of a type in a help text."""
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part not in (type(None), ...)]
    if origin is Annotated:
        return _metavar(parts[0])
    if origin is Literal:
        return f"{{{','.join(map(str, parts))}}}"
    if origin in (Union, UnionType):
        return "|".join(dict.fromkeys(map(_metavar, parts)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "NAME VALUE ..."
    if parts:
        return f"{_metavar(parts[0])} ..."
    return str(getattr(kind, "METAVAR", _WORDS.get(kind, "VALUE")))


def _without_config(args: list[str]) -> tuple[list[str], Path | None]:
    for i, arg in enumerate(args):
        if arg == "--config":
            if i + 1 == len(args):
                raise UserError("expected a file after --config, got nothing")
            return args[:i] + args[i + 2 :], _config(args[i + 1])
        if arg.startswith("--config="):
            return args[:i] + args[i + 1 :], _config(arg.removeprefix("--config="))
    return args, None


def _no_plan(prog: str) -> str:
    return f"undertext {prog} has no plan yet: --dry-run is not for it"


def without_dry_run(args: list[str]) -> tuple[list[str], bool]:
    """The other arguments, and whether `--dry-run` is among them; a value after it is True or False."""
    if "--dry-run" not in args:
        return args, False
    i = args.index("--dry-run")
    value = args[i + 1 : i + 2]
    if value in (["True"], ["False"]):
        return args[:i] + args[i + 2 :], value == ["True"]
    return args[:i] + args[i + 1 :], True


def _config(name: str) -> Path:
    """A config file as it was given; a bare name that is none here may be one that is shipped."""
    path = Path(name)
    if not path.exists() and path.name == name:
        try:
            return config_file(name)
        except FileNotFoundError:
            pass
    return path


def run_subcommand(command: str, args: Sequence[str], subcommands: Mapping[str, tuple[Run, str]]) -> int:
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
    got = shown(repr(args[0])) if args else "nothing"
    raise UserError(
        f"expected one of: {', '.join(f'undertext {command} {name}' for name in subcommands)}; got {got}"
    )


def say(text: str = "") -> None:
    """A line of a command's output; control characters, which a terminal would act on, stand as escapes."""
    print(escaped(text.replace("\u00a0", " "), "\n"), file=sys.stdout, flush=True)


def _say_all(lines: Sequence[str]) -> None:
    for line in lines:
        say(line)
