"""A key-value cache that is allocated once, for batches whose rows leave, or multiply where they part."""

from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicLayer, get_layer_types_and_kwargs

from undertext.activations.errors import UserError


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

    def take_rows(self, rows: Tensor, capacity: int) -> None:
        """Have `rows` of the present rows, each as often as it is named, with room for `capacity`."""
        self.capacity = capacity
        if self.is_initialized:
            for index, buffer in enumerate(self._buffers):
                taken = buffer.new_empty(len(rows), buffer.shape[1], capacity, buffer.shape[3])
                taken[:, :, : self.length] = buffer[rows, :, : self.length]
                self._buffers[index] = taken
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

    def take_rows(self, rows: Tensor, capacity: int) -> None:
        """Have `rows` of the present rows, each as often as it is named; room for `capacity` positions."""
        for layer in self._buffered:
            layer.take_rows(rows, capacity)
