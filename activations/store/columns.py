"""The columns that say what each row of a store is."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.store.manifest import Kind

Value = str | int
Values = Sequence[str] | Sequence[int] | Sequence[str | int] | Tensor | NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Column:
    """One value for each row: whole numbers, or text."""

    codes: NDArray[np.int64]
    """[n]: the numbers themselves, or for text the place of each row's in `texts`."""
    texts: tuple[str, ...] | None = None
    """The distinct texts; None in a column of numbers."""

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, name: str, values: Values) -> "Column":
        """A column of the given values; UserError naming it when they are not all text or all integers."""
        items: list[Any] = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
        kinds = set(map(type, items))
        if kinds <= {str} and not isinstance(values, str | Tensor):
            texts: dict[str, int] = {}
            codes = [texts.setdefault(text, len(texts)) for text in items]
            return cls(np.array(codes, dtype=np.int64), tuple(texts))
        if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
            try:
                return cls(np.array(items, dtype=np.int64))
            except OverflowError as error:
                raise UserError(f"column {name!r} holds a number that does not fit 64 bits") from error
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise UserError(
            f"column {name!r} must be a list with one text, or one whole number, for each row; got {found}"
        )

    @classmethod
    def join(cls, parts: Sequence["Column"]) -> "Column":
        """The rows of several columns of one kind, one after the other."""
        if all(part.texts is None for part in parts):
            return cls(np.concatenate([part.codes for part in parts]))
        texts: dict[str, int] = {}
        codes = []
        for part in parts:
            places = [texts.setdefault(text, len(texts)) for text in part.texts or ()]
            codes.append(np.array(places, dtype=np.int64)[part.codes])
        return cls(np.concatenate(codes), tuple(texts))

    @property
    def kind(self) -> Kind:
        """`text` or `integer`."""
        return "integer" if self.texts is None else "text"

    def take(self, index: NDArray[np.int64]) -> "Column":
        """The column of some rows only."""
        return Column(self.codes[index], self.texts)

    def values(self) -> NDArray[np.int64] | NDArray[np.object_]:
        """[n]: numbers as int64, texts as an array of str."""
        return self.codes if self.texts is None else np.array(self.texts, dtype=object)[self.codes]

    def distinct(self) -> list[Value]:
        """The values that occur, each once, in order of their code."""
        used = np.unique(self.codes).tolist()
        return used if self.texts is None else [self.texts[code] for code in used]

    def where(self, wanted: Collection[Value]) -> NDArray[np.bool_]:
        """[n]: whether each row's value is among `wanted`."""
        if self.texts is None:
            codes = [int(value) for value in wanted if not isinstance(value, str)]
        else:
            chosen = set(wanted)
            codes = [code for code, text in enumerate(self.texts) if text in chosen]
        return np.isin(self.codes, np.array(codes, dtype=np.int64))


def show(values: Iterable[Value]) -> str:
    """The first few values, for an error."""
    shown = [repr(value) for value in values]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
