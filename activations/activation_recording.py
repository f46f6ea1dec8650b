"""Keeping activations while text is generated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import Captured, check_finite, empty
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import check_dtype
from undertext.activations.errors import UserError, shown
from undertext.activations.groups import Part
from undertext.activations.hookpoint import GateAt, HookPoint
from undertext.activations.hooks import HookFunction


@dataclass(frozen=True)
class RecordSpec:
    """What is to be kept while text is generated.

    At `at`, the same gates as those of an intervention: "generated" is every generated token once it is
    read back in, which the last one of a text never is.
    """

    points: Sequence[HookPoint]
    at: GateAt = "generated"
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        """Refuse a gate and a type that there are not (UserError)."""
        if self.at not in get_args(GateAt):
            raise UserError(
                f"unknown gate {shown(repr(self.at), 60)} to record at: valid are "
                f"{', '.join(get_args(GateAt))}"
            )
        check_dtype("dtype", self.dtype)


@dataclass
class Recorded:
    """Activations by point, [n, width] each, and for each n the row and the position in its text."""

    places: list[tuple[int, int]] = field(default_factory=list)
    parts: list[list[Float[Tensor, "n width"]]] = field(default_factory=list)

    def add(self, other: "Recorded", rows: Mapping[int, int]) -> None:
        """Take over what was kept of these rows of a batch, under these numbers."""
        n = 0
        for part in other.parts:
            places = other.places[n : n + len(part[0])]
            n += len(places)
            wanted = [i for i, (row, _) in enumerate(places) if row in rows]
            self.places += [(rows[places[i][0]], places[i][1]) for i in wanted]
            self.parts.append(part if len(wanted) == len(places) else [each[wanted] for each in part])

    def captured(self, checkpoint: Checkpoint, record: RecordSpec) -> Captured:
        """All of it in order of rows and positions. UserError for NaN or infinity."""
        order = sorted(range(len(self.places)), key=self.places.__getitem__)
        rows, positions = torch.tensor([self.places[n] for n in order]).reshape(-1, 2).unbind(1)
        out = empty(
            checkpoint, record.points, rows, positions, dtype=record.dtype, device=torch.device("cpu")
        )
        for i, point in enumerate(record.points):
            if order:
                out[point][:] = torch.cat([part[i] for part in self.parts])[order]
        check_finite(checkpoint, out)
        return out


class Recorder:
    """Hooks that keep what passes in one batch, after its interventions."""

    def __init__(self, record: RecordSpec, lengths: Sequence[int]) -> None:
        """`lengths` are those of the rows' prompts."""
        self._record, self._lengths = record, lengths
        self.kept = Recorded()

    @property
    def hooks(self) -> dict[HookPoint, HookFunction]:
        """What to put on the model while the batch runs."""

        def keeper(point: HookPoint) -> HookFunction:
            def keep(activation: Tensor) -> None:
                if self._places:
                    # The layers of one model may be on several devices.
                    index = tuple(each.to(activation.device) for each in self._index)
                    self._seen[point] = activation[index].to(self._record.dtype)

            return keep

        return {point: keeper(point) for point in self._record.points}

    def begin(self, part: Part, rows: Sequence[int], slots: Sequence[int]) -> None:
        """Say what the next pass reads: `rows` are those it is read for, each with its slot."""
        self._seen: dict[HookPoint, Tensor] = {}
        starts, ends = part.starts.tolist(), part.ends.tolist()
        found = [
            (slot, place - starts[slot], row, place)
            for row, slot in zip(rows, slots, strict=True)
            for place in self._wanted(
                range(max(starts[slot] + part.again, 0), min(starts[slot] + part.ids.shape[1], ends[slot])),
                self._lengths[row],
            )
        ]
        self._places = [(row, position) for _, _, row, position in found]
        device = part.ids.device
        self._index = tuple(
            torch.tensor([each[i] for each in found], dtype=torch.long, device=device) for i in (0, 1)
        )

    def _wanted(self, read: range, length: int) -> range:
        """Of the places that are read of a text, those to keep; its prompt has this length."""
        low, high = {
            "last_prompt": (length - 1, length),
            "prompt": (0, length),
            "generated": (length, read.stop),
            "all": (0, read.stop),
        }[self._record.at]
        return range(max(read.start, low), min(read.stop, high))

    def end(self) -> None:
        """Keep what the pass has shown."""
        if self._places:
            self.kept.places += self._places
            self.kept.parts.append([self._seen[point].cpu() for point in self._record.points])
