"""The rows of a sweep, and what a place must offer that keeps them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable


class Key(NamedTuple):
    """Which row: indices of its setting and its prompt."""

    setting: int
    prompt: int


class Row(NamedTuple):
    """What was written under one setting from one prompt."""

    text: str
    touched: int
    """Number of tokens, of prompt and text, at which something was changed."""
    written: int
    """Number of whole tokens of the text."""
    steered: int
    """Number of generated tokens that were chosen in a steered pass."""
    produced: int
    """Number of generated tokens, those that ended the text among them."""

    @property
    def cut(self) -> bool:
        """Whether the text was cut at `max_new_tokens`: nothing ended it."""
        return self.written == self.produced


@runtime_checkable
class RowStore(Protocol):
    """Keeps the rows of one sweep, so that a sweep that was killed goes on from them."""

    def open(self, sweep: Mapping[str, Any]) -> Mapping[Key, Row]:
        """The rows kept so far of the sweep that these plain values describe.

        UserError where rows of another sweep are kept, or damaged ones.
        """

    def writing(self) -> AbstractContextManager[Mapping[Key, Row]]:
        """The body as the only one that adds rows, with the rows there are then."""

    def add(self, rows: Mapping[Key, Row]) -> None:
        """Keep more rows: all of them, or none when killed."""
