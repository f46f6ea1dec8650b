"""A key-value cache in one buffer, for batches whose rows leave, multiply, or make way for others."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicLayer, get_layer_types_and_kwargs

from undertext.activations.errors import UserError

_MORE = 64
"""Room for so many positions at least where a buffer grows: its copy is paid once for as many passes."""


class _BufferedLayer(DynamicLayer):
    """One layer's keys and values [row, head, position, d_head], written in place into a buffer.

    transformers' own DynamicLayer copies the whole past at every step. Here `keys` and `values`
    are views of a buffer: of its positions from `start` up to `length`. A layer with a sliding window keeps
    the whole past as well: its window is in the attention mask, which transformers builds for all of it.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers leaves it unannotated
        self.capacity = capacity
        self.start = self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self._buffers = [
            states.new_empty(*states.shape[:2], self.capacity, states.shape[3])
            for states in (key_states, value_states)
        ]
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        new = key_states.shape[-2]
        if self.is_initialized and self.length + new > self.capacity:
            self._renew(None, max(new, _MORE, self.get_seq_length() // 2))
        if not self.is_initialized:
            self.capacity = max(self.capacity, new)
            self.lazy_initialization(key_states, value_states)
        first, self.length = self.length, self.length + new
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, first : self.length] = states
        return self._show()

    def take_rows(self, rows: Tensor, room: int) -> None:
        """Have `rows` of the present rows, each as often as it is named; room for `room` more positions."""
        if self.is_initialized:
            self._renew(rows, room)

    def put_rows(self, rows: Sequence[int], other: "_BufferedLayer", taken: Tensor) -> None:
        """Have the rows `taken` of `other`, which holds no more positions, in place of `rows`.

        Their last positions stand at the last ones here, as prompts that are padded on the left do.
        """
        if self.is_initialized:
            first = self.length - other.get_seq_length()
            if first < self.start:
                raise ValueError(f"{other.get_seq_length()} positions do not go into {self.get_seq_length()}")
            for buffer, theirs in zip(self._buffers, other._buffers, strict=True):
                buffer[rows, :, first : self.length] = theirs[taken, :, other.start : other.length]

    def close_up(self, gaps: Sequence[int], movers: Sequence[int], count: int) -> None:
        """Have the first `count` rows alone, once those at `movers` stand at `gaps`. No other is copied."""
        if self.is_initialized:
            for index, buffer in enumerate(self._buffers):
                shown = buffer[:, :, self.start : self.length]
                for gap, mover in zip(gaps, movers, strict=True):
                    shown[gap] = shown[mover]
                self._buffers[index] = buffer[:count]
            self._show()

    def keep_last(self, positions: int) -> None:
        """Forget all but the last so many positions. Nothing is copied."""
        self.start = max(self.start, self.length - positions)
        if self.is_initialized:
            self._show()

    def last(self, rows: Tensor | None, positions: int) -> tuple[Tensor, Tensor]:
        """Keys and values of all or these rows at the last so many positions."""
        first = self.length - positions
        shown = (each[:, :, first : self.length] for each in self._buffers)
        keys, values = (
            each if rows is None else each.index_select(0, rows.to(each.device)) for each in shown
        )
        return keys, values

    def own(self, buffers: Sequence[Tensor], length: int) -> None:
        """Have these buffers of keys and values, filled up to `length`; nobody else writes into them."""
        self._buffers = list(buffers)
        self.capacity, self.start, self.length = buffers[0].shape[2], 0, length
        self.dtype, self.device, self.is_initialized = buffers[0].dtype, buffers[0].device, True
        self._show()

    def hold(self, parts: Sequence[tuple[Tensor, Tensor]], room: int) -> None:
        """Have the rows of all parts, each keys and values; they end alike, and zeros stand before them."""
        if not parts:
            return
        kept = max(keys.shape[2] for keys, _ in parts)
        buffers: list[Tensor] = []
        for kind in (0, 1):
            states = [part[kind] for part in parts]
            shape = (sum(map(len, states)), states[0].shape[1], kept + room, states[0].shape[3])
            buffer = states[0].new_empty(shape)
            begun = 0
            for each in states:
                slots = buffer[begun : begun + len(each)]
                slots[:, :, : kept - each.shape[2]] = 0
                slots[:, :, kept - each.shape[2] : kept] = each
                begun += len(each)
            buffers.append(buffer)
        self.own(buffers, kept)

    def get_seq_length(self) -> int:
        return self.length - self.start

    def _renew(self, rows: Tensor | None, room: int) -> None:
        kept = self.get_seq_length()
        self.capacity = kept + room
        for index, buffer in enumerate(self._buffers):
            past = buffer[:, :, self.start : self.length]
            count = buffer.shape[0] if rows is None else len(rows)
            renewed = buffer.new_empty(count, buffer.shape[1], self.capacity, buffer.shape[3])
            if rows is None:
                renewed[:, :, :kept] = past
            else:  # in one go: an index makes a copy of its own first
                torch.index_select(past, 0, rows.to(buffer.device), out=renewed[:, :, :kept])
            self._buffers[index] = renewed
        self.start, self.length = 0, kept
        self._show()

    def _show(self) -> tuple[Tensor, Tensor]:
        keys, values = (buffer[:, :, self.start : self.length] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


class BufferedCache(Cache):
    """One buffered layer per block, with room for `capacity` positions at first; it grows as it must."""

    def __init__(self, config: PreTrainedConfig, capacity: int) -> None:
        """UserError when a block keeps anything but keys and values (linear attention, state spaces)."""
        kinds, _ = get_layer_types_and_kwargs(config.get_text_config(decoder=True))
        other = sorted(set(kinds) - {"full_attention", "sliding_attention"})
        if other:
            raise UserError(f"generation handles attention layers only, this model has {', '.join(other)}")
        self._config = config
        self._buffered = [_BufferedLayer(capacity) for _ in kinds]
        super().__init__(layers=list(self._buffered))

    def take_rows(self, rows: Tensor, room: int) -> None:
        """Have `rows` of the present rows, each as often as it is named; room for `room` more positions."""
        for layer in self._buffered:
            layer.take_rows(rows, room)

    def close_up(self, gaps: Sequence[int], movers: Sequence[int], count: int) -> None:
        """Have the first `count` rows alone, once those at `movers` stand at `gaps`. No other is copied."""
        for layer in self._buffered:
            layer.close_up(gaps, movers, count)

    def put_rows(self, rows: Sequence[int], other: "BufferedCache", taken: Tensor) -> None:
        """Have the rows `taken` of another, of no more positions, in place of `rows`; all end alike."""
        for layer, theirs in zip(self._buffered, other._buffered, strict=True):
            layer.put_rows(rows, theirs, taken.to(theirs.device) if theirs.is_initialized else taken)

    def keep_last(self, positions: int) -> None:
        """Forget all but the last so many positions. Nothing is copied."""
        for layer in self._buffered:
            layer.keep_last(positions)

    def copied(self, rows: Tensor, positions: int) -> "BufferedCache":
        """The last `positions` of these rows, in a cache of their own without room for more."""
        copy = BufferedCache(self._config, 0)
        for mine, theirs in zip(copy._buffered, self._buffered, strict=True):
            if theirs.is_initialized:
                mine.own(theirs.last(rows, positions), positions)
        return copy

    @staticmethod
    def joined(caches: Sequence["BufferedCache"], room: int) -> "BufferedCache":
        """The rows of all these caches, which end alike, with room for `room` more positions."""
        whole = BufferedCache(caches[0]._config, 0)
        for layer, *parts in zip(whole._buffered, *(cache._buffered for cache in caches), strict=True):
            layer.hold(
                [part.last(None, part.get_seq_length()) for part in parts if part.is_initialized], room
            )
        return whole
