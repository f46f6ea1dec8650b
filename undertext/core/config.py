"""Configs: frozen pydantic models; the YAML in configs/ and the flags of commands are made from them."""

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undertext.activations.errors import UserError
from undertext.core.printable import printable, shown
from undertext.core.terms import Role
from undertext.core.yaml_file import MOST_BYTES, YamlError, parse_yaml, read_regular, reason

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A random seed, as large as all that is given one takes: numpy and scikit-learn take no larger one."""
Share = Annotated[float, Field(ge=0, le=1)]
Dtype = Literal["float32", "bfloat16", "float16", "auto"]
Model = TypeVar("Model", bound=BaseModel)

WORK_ONLY = frozenset(
    {
        "device", "threads", "batch_size", "checkpoint_every", "overwrite", "grader_seconds", "one_at_a_time",
        "engine", "address", "store", "gpus",
    }
)  # fmt: skip
"""Fields that change how the work is done and not what is measured: an interrupted job may go on under other
values of these."""

_OF_ONE = ("int_type", "float_type", "string_type", "bool_type", "path_type", "literal_error")
"""Pydantic's names of what is wrong with a value that should be one number, text or the like."""

given_command: ContextVar[str | None] = ContextVar("given_command", default=None)
"""The command line that is being run, for run.json; None where a job is called from Python."""


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

    seed: Seed = 0
    """Random seed."""
    device: str = "cpu"
    """Device that checkpoints are loaded on: cpu, cuda, cuda:1 or mps; auto spreads each over all GPUs."""
    dtype: Dtype = "float32"
    """Precision that checkpoints are loaded in: float32, bfloat16, float16, or auto for what each checkpoint
    says of itself."""
    threads: int | None = Field(default=None, ge=1, le=4096)
    """Number of CPU threads for torch; None leaves torch's own setting. On a shared machine fewer threads are
    often faster."""
    batch_size: int = Field(default=512, ge=1, le=1_000_000)
    """Number of rows that are generated together; a job that generates nothing does not use it."""
    overwrite: bool = False
    """Whether a report of other settings, or an unfinished job of other settings, in the output folder may be
    replaced."""


class EngineConfig(Config):
    """What runs a job's parts."""

    engine: Literal["local", "ray"] = "local"
    """What runs the parts of the job: local is this process, one part after another; ray is a Ray cluster,
    a task for each part (it needs the extra ray: `pip install -e '.[ray]'` in the clone of undertext)."""
    address: str | None = None
    """Address of the Ray cluster: HOST:PORT of its head, or local, which starts one on this machine for as
    long as the job takes; None is the cluster that this machine belongs to. Engine local takes
    no address."""


class PartsConfig(EngineConfig, RunConfig):
    """The settings of every job whose parts can be run on other machines."""

    store: str | None = None
    """Location in which finished parts are kept and to which the results are written too, as a URL that
    fsspec can write (s3://bucket/runs, gs://bucket/runs, file:///shared/runs): all machines must reach it.
    None keeps parts in the output folder of this machine."""
    gpus: int = Field(default=1, ge=1, le=1024)
    """Number of GPUs of one machine that a part takes on a Ray cluster, where the device is cuda or auto;
    auto spreads a checkpoint over them."""


class PairConfig(PartsConfig):
    """The settings of every job that reads two checkpoints."""

    one_at_a_time: bool = False
    """Whether the weights of one checkpoint are held in memory at a time: those of the other are read again
    when their turn comes. Figures are the same; checkpoints that are live or quantised stay in memory."""


class AskedConfig(Config):
    """Of a job that asks one checkpoint, or one beside a stronger one."""

    asked_as: Role = "base"
    """Role in which the checkpoint is asked, where a task asks base and tuned differently (`tuned_prompt`); a
    stronger checkpoint is asked in the other one."""


class Grading(Config):
    """How outputs are graded, where a task does not say."""

    grader: str | None = None
    """Function that grades the outputs of a task of kind python, as module:function; Python must be able to
    import the module, and a module in the task's folder is refused."""
    grader_seconds: float = Field(default=10.0, gt=0, le=86_400)
    """Number of seconds that the function `grader` may take for one output; the job stops at an output that
    takes longer."""


class GradingConfig(Grading, PartsConfig):
    """The settings of every job that grades outputs."""


def read_config(kind: type[Model], path: str | Path, overrides: Mapping[str, Any] | None = None) -> Model:
    """A config of this kind from a YAML file. Raises UserError naming file, key and what was expected."""
    try:
        return kind.model_validate({**config_values(path), **(overrides or {})})
    except ValidationError as error:
        raise UserError(f"{printable(str(path))}: {problems_of(error, kind)}") from error


def config_values(path: str | Path) -> dict[Any, Any]:
    """The keys and values of a YAML file. Raises UserError naming the file and what was expected."""
    file = printable(str(path))
    try:
        values, _, repeated = parse_yaml(read_regular(path, MOST_BYTES))
    except YamlError as error:
        where = file if error.line is None else f"{file}:{error.line}"
        raise UserError(f"{where} is not YAML as configs may hold it: {error}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the config {file}: {reason(error)}") from error
    if not isinstance(values, dict):
        raise UserError(f"expected keys and values in the config {file}, got {shown(values)}")
    for place, line in repeated:
        raise UserError(f"{file}:{line}: expected each key once, got {shown(place[-1])} again")
    return values


def problems_of(error: ValidationError, kind: type[BaseModel], listed: str = "") -> str:
    """Pydantic's findings on one line: which key, what is wrong, what is valid. `listed` is said where a list
    stands for one value."""
    problems = []
    for details in error.errors():
        key = printable(".".join(str(part) for part in details["loc"]), 100) or "config"
        if details["type"] == "extra_forbidden":
            problems.append(f"unknown key '{key}' (valid: {', '.join(kind.model_fields)})")
        elif details["type"] == "missing":
            problems.append(f"missing key '{key}'")
        else:
            # What our own validators say needs no word on how they say it.
            one = isinstance(details["input"], list) and details["type"] in _OF_ONE
            one = one and len(details["loc"]) == 1
            problems.append(
                f"{key}: {printable(details['msg'].removeprefix('Value error, '), 300)}, "
                f"got {_given(details['input'])}{listed if one else ''}"
            )
    return "; ".join(problems)


def _given(value: object) -> str:
    """An input as a message shows it: a number or text as `shown`, all else as Python writes it, in short."""
    number_or_text = isinstance(value, str | int | float) and not isinstance(value, bool)
    return shown(value) if number_or_text else printable(repr(value), 100)


def part_of(kind: type[Model], whole: BaseModel) -> Model:
    """The fields of `whole` that a config of this kind has, as such a config."""
    return kind.model_validate({name: getattr(whole, name) for name in kind.model_fields})
