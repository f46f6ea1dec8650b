"""What a job costs on a device that is not here: arithmetic on counted tokens and a model's sizes.

`--dry-run` measures rates on the machine that it runs on (`core.rates`); this is for a machine that it does
not. A multiplication and an addition are two FLOPs. N are the parameters that a token meets in a pass: all
but the embedding that is looked up, the unembedding among them. L is the number of layers and a the width of
attention, heads times width of a head.

- A token that attends to t tokens, itself among them: 2 N + 4 L a t (2 N as in Kaplan et al. 2020, section
  2.1; attention's two products as in Chowdhery et al. 2022, appendix B).
- A text of n tokens that is read: 2 N n + 2 L a n (n + 1), the sum over its tokens.
- Writing: each pass writes a token of every row. It takes the longest of its FLOPs by the device's FLOPs a
  second, of the bytes that it fetches (weights once, keys and values of every row) by bytes a second, and of
  its layers by the least that a layer takes (kernels are launched one after another).
- Memory: weights, keys and values of a batch (2 L k numbers a token, k heads of keys times their width), and
  of a pass its widest activations with the logits.
"""

from collections.abc import Iterable
from typing import NamedTuple

from undertext.activations.errors import UserError
from undertext.core.plan import Work


class ModelSize(NamedTuple):
    """A dense decoder's sizes, as its config.json has them."""

    n_layers: int
    d_model: int
    d_mlp: int
    """Width of the gated MLP (`intermediate_size`)."""
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_vocab: int
    tied: bool = False
    """Whether the unembedding is the embedding."""

    @property
    def d_attention(self) -> int:
        """Heads times width of a head."""
        return self.n_heads * self.d_head

    @property
    def met(self) -> int:
        """Parameters that a token meets in a pass, in products; norms and biases are not counted."""
        attention = 2 * self.d_model * (self.d_attention + self.n_kv_heads * self.d_head)
        return self.n_layers * (attention + 3 * self.d_model * self.d_mlp) + self.d_model * self.d_vocab

    @property
    def parameters(self) -> int:
        """All parameters, norms and biases left out."""
        return self.met + (0 if self.tied else self.d_model * self.d_vocab)

    def cache_a_token(self, bytes_each: int = 2) -> int:
        """Bytes of keys and values."""
        return 2 * self.n_layers * self.n_kv_heads * self.d_head * bytes_each


MODELS = {
    "1.5B": ModelSize(28, 1536, 8960, 12, 2, 128, 151936, tied=True),
    "7B": ModelSize(28, 3584, 18944, 28, 4, 128, 152064),
    "70B": ModelSize(80, 8192, 28672, 64, 8, 128, 128256),
}
"""Sizes of Qwen2.5-1.5B, Qwen2.5-7B and Llama-3.1-70B, from their config.json."""


class Device(NamedTuple):
    """One card, and the share of its peaks that a job is taken to reach."""

    name: str
    flops: float
    """Peak FLOPs a second at the precision of the weights, dense."""
    bandwidth: float
    """Peak bytes a second from its memory."""
    memory: float
    """Bytes."""
    utilisation: float
    """Share of `flops` while texts are read."""
    fetching: float
    """Share of `bandwidth` while tokens are written."""
    launch: float = 0.0
    """Seconds that a layer takes at least in a pass of writing, whatever its size."""


H100 = Device("H100 SXM, 80 GB, bfloat16", 989e12, 3.35e12, 80e9, 0.5, 0.5, 1e-3)
"""Peaks of NVIDIA's data sheet. `utilisation` and `launch` are measured on an H200, which has the same
processor and faster memory (`benchmarks/_cost_cuda.py`, docs/cluster.md). `fetching` is assumed: no pass of
models up to 7B was bound by memory there."""


def reading_flops(model: ModelSize, tokens: float, length: float) -> float:
    """FLOPs of reading so many tokens, in texts of this length."""
    return tokens * (2 * model.met + 2 * model.n_layers * model.d_attention * (length + 1))


def writing_flops(model: ModelSize, tokens: float, after: float, length: float) -> float:
    """FLOPs of writing so many tokens, `length` of them after each prompt of `after` tokens."""
    attended = after + (length + 1) / 2
    return tokens * (2 * model.met + 4 * model.n_layers * model.d_attention * attended)


class Cost(NamedTuple):
    """What a job takes on a device."""

    flops: float
    reading_s: float
    """Seconds of reading, on one device."""
    writing_s: float
    """Seconds of writing, on one device."""
    devices: int
    """Fewest devices whose memory holds it."""
    memory: float
    """Bytes."""

    @property
    def device_hours(self) -> float:
        """Hours of one device. Several that hold one model together take as many hours together as one with
        their memory would, where nothing is lost between them."""
        return (self.reading_s + self.writing_s) / 3600


def cost_of(
    works: Iterable[Work],
    model: ModelSize,
    device: Device,
    *,
    rows: int,
    held: int = 2,
    bytes_each: int = 2,
    written: float = 1.0,
    steered: float = 1.0,
) -> Cost:
    """What works come to: `rows` are generated together, `held` models are in memory, outputs are this share
    `written` of the longest, and a pass that is steered takes `steered` times as long.

    Raises UserError for rows, models or shares that cannot be.
    """
    if rows < 1 or held < 1 or not 0 <= written <= 1 or steered < 1:
        raise UserError(
            "expected 1 row or more, 1 model or more, a share of tokens written from 0 to 1 and steered from "
            f"1 on, got {rows}, {held}, {written:g} and {steered:g}"
        )
    flops = reading = writing = 0.0
    longest = 0
    for work in works:
        length = work.read / max(work.rows, 1)
        read = reading_flops(model, float(work.read), length)
        flops += read
        reading += read / (device.flops * device.utilisation)
        tokens = written * work.written
        if tokens:
            own, each = min(rows, work.rows), tokens / work.rows
            made = writing_flops(model, tokens, length, each)
            flops += made
            fetched = model.met * bytes_each + own * model.cache_a_token(bytes_each) * (length + each / 2)
            by_bytes = tokens / own * fetched / (device.bandwidth * device.fetching)
            by_flops = made / (device.flops * device.utilisation)
            by_launch = tokens / own * model.n_layers * device.launch
            writing += (steered if work.steered else 1.0) * max(by_bytes, by_flops, by_launch)
            longest = max(longest, work.longest + round(work.written / work.rows))
    weights = held * model.parameters * bytes_each
    pass_ = rows * (2 * model.d_mlp * bytes_each + 4 * model.d_vocab)
    memory = weights + rows * longest * model.cache_a_token(bytes_each) + pass_
    return Cost(flops, reading, writing, max(1, -int(-memory // device.memory)), memory)
