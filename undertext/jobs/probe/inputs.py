"""What a probing job is given, by name: checkpoints, tasks, and which pairs of checkpoints."""

from collections.abc import Collection, Mapping, Sequence
from itertools import permutations
from typing import Any

from pydantic import TypeAdapter, ValidationError

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.pair import Outline, check_outlines, notes
from undertext.core.config import RunConfig
from undertext.core.setup import checkpoint_record, open_checkpoint
from undertext.jobs.probe.config import Name

BASE = "base"
"""Name of the checkpoint that is asked as a base; those of other names are asked as tuned ones."""


class Sources:
    """Opens checkpoints by name, one at a time, and keeps the last one.

    The one named `base` is what an adapter among the others is merged into where its own base is not here.
    """

    def __init__(self, given: Mapping[Name, Any], config: RunConfig) -> None:
        self.given, self._config = given, config
        self.notes: list[str] = []
        """What a reader must know of how they were loaded."""
        self.outlines: dict[Name, Outline] = {}
        """The shape of each checkpoint that has been opened."""
        self.records: dict[Name, dict[str, Any]] = {}
        """How each appears in a report."""
        self._last: tuple[Name, Checkpoint] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the checkpoint that is open: another process opens the one that it needs."""
        return {**self.__dict__, "_last": None}

    def open(self, name: Name) -> Checkpoint:
        """This checkpoint; the one before is let go first."""
        if self._last is None or self._last[0] != name:
            self._last = None  # before the next is loaded, so that two never share the memory
            checkpoint = open_checkpoint(
                self.given[name],
                device=self._config.device,
                dtype=self._config.dtype,
                base=self.given.get(BASE),
            )
            self.notes += checkpoint.notes
            self._last = (name, checkpoint)
            self.outlines[name] = Outline.of(checkpoint)
            self.records[name] = checkpoint_record(checkpoint)
        return self._last[1]


def check_names(checkpoints: Mapping[Name, Any], tasks: Mapping[Name, Any]) -> None:
    """UserError for nothing, and for names that cannot name files."""
    for what, given in (("checkpoint", checkpoints), ("task", tasks)):
        if not given:
            raise UserError(f"expected a {what} or more, by name, got none")
        for name in given:
            try:
                TypeAdapter(Name).validate_python(name)
            except ValidationError:
                raise UserError(
                    f"a {what}'s name is 1 to 64 letters, digits, - and _, got {name!r}"
                ) from None


def pairs_of(
    outlines: Mapping[Name, Outline],
    transport: Sequence[tuple[Name, Name]] | None,
    texts: Collection[str],
) -> tuple[list[tuple[Name, Name]], list[str]]:
    """Pairs (fitted on, read on) of checkpoints that read the `texts` alike, and notes on how they differ.

    UserError for names that are not there and pairs that are none.
    """
    if transport is None:
        found = [(a, b) for a, b in permutations(outlines, 2) if _alike(outlines[a], outlines[b], texts)]
        return found, _notes(outlines, found)
    for pair in transport:
        for name in pair:
            if name not in outlines:
                raise UserError(f"transport names checkpoint {name!r}; there are: {', '.join(outlines)}")
        if pair[0] == pair[1]:
            raise UserError(f"transport is from one checkpoint to another, got {pair[0]!r} twice")
        check_outlines(outlines[pair[0]], outlines[pair[1]], texts)
    found = list(dict.fromkeys(transport))
    return found, _notes(outlines, found)


def _notes(outlines: Mapping[Name, Outline], pairs: Sequence[tuple[Name, Name]]) -> list[str]:
    return [
        f"with {a} as base and {b} as tuned: {note}"
        for a, b in sorted({(min(pair), max(pair)) for pair in pairs})
        for note in notes(outlines[a], outlines[b])
    ]


def _alike(one: Outline, other: Outline, texts: Collection[str]) -> bool:
    try:
        check_outlines(one, other, texts)
    except UserError:
        return False
    return True
