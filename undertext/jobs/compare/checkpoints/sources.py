"""The tuned checkpoints of one call: by the name of the folder that each comparison is written to."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.paths import expanded
from undertext.core.output import LAST, OURS, PAGE
from undertext.core.resume import FOLDER

_NAME = re.compile(r"[\w+=-][\w.@+=-]{0,99}", re.ASCII)
_STEP = re.compile(
    r"(?:step|checkpoint|ckpt|iter(?:ation)?)[-_=]?([0-9]{1,15})(?![0-9A-Za-z])", re.I | re.ASCII
)
_TAKEN = {FOLDER, PAGE, *LAST, *OURS}


def by_name(tuned: Any) -> dict[str, Any]:
    """Each source by a name: those of a mapping by its keys; those of a list by the end of the path or id,
    long enough to differ.

    Patterns in a list are expanded (`activations.paths.expanded`). Sources whose names all tell their
    training steps come in the order of these. UserError for no source, one that is given twice, a name that
    cannot be a folder's, and a pattern that nothing matches.
    """
    if isinstance(tuned, str | Path):
        raise UserError(f"expected a list of tuned checkpoints, got {shown(str(tuned))}")
    if isinstance(tuned, Mapping):
        for name in tuned:
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name.casefold() in _TAKEN:
                raise UserError(
                    "the name of a checkpoint is that of a folder: 1 to 100 letters, digits and . @ + = - _, "
                    f"none of {', '.join(sorted(_TAKEN))}; got {shown(repr(name))}"
                )
        named = dict(tuned)
    else:
        for source in tuned:
            if not isinstance(source, str | Path):
                raise UserError(
                    "expected folders and hub ids in a list of tuned checkpoints, got a "
                    f"{type(source).__name__}: give a mapping from names to checkpoints"
                )
        named = _named([own for source in tuned for own in _expanded(source)])
    if not named:
        raise UserError("expected a tuned checkpoint or more, got none")
    if len({name.casefold() for name in named}) < len(named):
        raise UserError(f"expected names that differ by more than case, got {shown(', '.join(named), 300)}")
    steps = [step_of(name, source) for name, source in named.items()]
    if None in steps:
        return named
    return dict(sorted(named.items(), key=lambda item: step_of(*item) or 0))


def step_of(name: str, source: Any) -> int | None:
    """The training step that a checkpoint's name tells, or else the end of its path, or its revision; None
    where neither does."""
    for text in (name, _parts(source)[-1] if isinstance(source, str | Path) else ""):
        if steps := _STEP.findall(text):
            return int(steps[-1])
    return None


def said(source: Any) -> str:
    """A source in a record."""
    if isinstance(source, tuple) and source:
        source = source[0]
    if isinstance(source, str | Path):
        return str(source)
    config = getattr(source, "config", None)
    name = source.name if isinstance(source, Checkpoint) else getattr(config, "name_or_path", None)
    return str(name or type(source).__name__)


def _expanded(source: str | Path) -> list[str | Path]:
    return [*expanded(source)] if isinstance(source, str) else [source]


def _named(sources: Sequence[str | Path]) -> dict[str, Any]:
    twice = [source for i, source in enumerate(sources) if source in sources[:i]]
    if twice:
        raise UserError(f"the tuned checkpoint {shown(str(twice[0]))} is given twice")
    parts = [_parts(source) for source in sources]
    most = max((len(each) for each in parts), default=1)
    for length in range(1, most + 1):
        names = ["-".join(each[-length:])[-100:] for each in parts]
        names = [
            f"checkpoint-{name}" if name.casefold() in _TAKEN or name[0] in ".@" else name for name in names
        ]
        if len({name.casefold() for name in names}) == len(names):
            break
    else:
        names = [f"{i + 1}-{name}"[:100] for i, name in enumerate(names)]
    return dict(zip(names, sources, strict=True))


def _parts(source: str | Path) -> list[str]:
    """The parts of a path or id, from the front, with no characters that a folder's name may not have."""
    text = re.sub(r"^zoo:", "", str(source))
    parts = [re.sub(r"[^A-Za-z0-9_.@+=-]", "-", part) for part in text.replace("\\", "/").split("/")]
    return [part for part in parts if part not in ("", ".", "..")] or ["checkpoint"]
