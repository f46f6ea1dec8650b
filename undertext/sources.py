"""Names that stand for what is shipped: `zoo:elicited`, `zoo:chain`."""

from pathlib import Path

from activations.errors import UserError
from undertext.tasks.load import load_task
from undertext.tasks.new import new_chain
from undertext.tasks.task import Task

ZOO = "zoo:"


def zoo(name: str) -> Path:
    """The folder of a shipped organism. Raises UserError naming those there are."""
    from undertext.organisms.folder import organisms

    shipped = organisms()
    if name not in shipped:
        raise UserError(f"no organism {name!r} in the shipped zoo; there are: {', '.join(shipped)}")
    return shipped[name]


def resolve_checkpoint(source: str) -> str:
    """`source` itself, or the shipped organism that `zoo:NAME` stands for."""
    return str(zoo(source.removeprefix(ZOO))) if source.startswith(ZOO) else source


def resolve_task(source: str) -> str | Task:
    """`source` itself, or the built-in task (its seed 0) that `zoo:chain` stands for."""
    if not source.startswith(ZOO):
        return source
    if source != f"{ZOO}chain":
        raise UserError(f"no task {source!r}; the built-in one is {ZOO}chain")
    return new_chain(0)


def loaded_task(given: str | Path | Task) -> Task:
    """A task as it is, the built-in one, or the one in a folder."""
    found = resolve_task(given) if isinstance(given, str) else given
    return found if isinstance(found, Task) else load_task(found)
