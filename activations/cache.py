"""A key-value cache that is allocated once, for batches that only lose rows."""

from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicLayer, get_layer_types_and_kwargs

from activations.errors import UserError


class _BufferedLayer(DynamicLayer):
    """One layer's keys and values [row, head, position, d_head], written in place into a buffer.

    transformers' own DynamicLayer copies the whole past at every step. Here `keys` and `values`
    are views of the filled part of a buffer. A layer with a sliding window keeps the whole past as
    well: its window is in the attention mask, which transformers builds for the full length.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers leaves it unannotated
        self.capacity = capacity
        self.length = 0

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
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[-2]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self.length] = states
        return self._show()

    def keep_rows(self, rows: Tensor) -> None:
        """Drop all other rows; the order is that of `rows`."""
        if self.is_initialized:
            self._buffers = [buffer[rows] for buffer in self._buffers]
            self._show()

    def get_seq_length(self) -> int:
        return self.length

    def _show(self) -> tuple[Tensor, Tensor]:
        keys, values = (buffer[:, :, : self.length] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


class BufferedCache(Cache):
    """One buffered layer per block, with room for `capacity` positions."""

    def __init__(self, config: PreTrainedConfig, capacity: int) -> None:
        """UserError when a block keeps anything but keys and values (linear attention, state spaces)."""
        kinds, _ = get_layer_types_and_kwargs(config.get_text_config(decoder=True))
        other = sorted(set(kinds) - {"full_attention", "sliding_attention"})
        if other:
            raise UserError(f"generation handles attention layers only, this model has {', '.join(other)}")
        self._buffered = [_BufferedLayer(capacity) for _ in kinds]
        super().__init__(layers=list(self._buffered))

    def keep_rows(self, rows: Tensor) -> None:
        """Drop all other rows of the batch."""
        for layer in self._buffered:
            layer.keep_rows(rows)
