"""What the benchmarks of `compare` share: a shipped pair and task, what a run reads and writes, rounds.

Not run by `make bench`: it measures nothing by itself.
"""

import functools
import math
import os
import signal
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from undertext import CompareConfig, compare
from undertext.activations.passes import Passes
from undertext.core.progress import Progress
from undertext.core.resume import JobFolder
from undertext.jobs.compare.result import Comparison
from undertext.tasks import Task
from undertext.tasks.builtin.chain import new_chain

SMOKE = "--smoke" in sys.argv[1:]
BASE, TUNED, SPLIT = "zoo:base", "zoo:elicited", "test"
TEST = 24 if SMOKE else 300
"""Problems of `test` in the shipped task."""
FEW: dict[str, Any] = {
    "layers": (1, 2), "doses": (1.0,), "samples": 2, "search_problems": 8, "vector_problems": 16,
    "random_directions": 1, "trace_problems": 8,
}  # fmt: skip
QUICK = CompareConfig(splits=(SPLIT,), threads=1, **FEW)
CONFIG = QUICK if SMOKE else CompareConfig(splits=(SPLIT,), threads=1)


def task_of(test: int) -> Task:
    """The shipped task with so many problems of `test`; all others are the same."""
    return new_chain(0, train=120, dev=16, test=test, ood=4) if SMOKE else new_chain(0, test=test)


def run(
    task: Task, out: Path, progress: Progress | bool = False, config: CompareConfig = CONFIG
) -> Comparison:
    """One comparison, with its report."""
    return compare(BASE, TUNED, task, config=config, out=out, progress=progress)


class Counting(Progress):
    """The tokens that are read and written, by the stage of the job; a stage within another counts for it."""

    def __init__(self) -> None:
        super().__init__(False)
        self.now = ""
        self.read: Counter[str] = Counter()
        self.written: Counter[str] = Counter()

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        before, self.now = self.now, self.now or name
        try:
            with super().stage(name, total) as done:
                yield done
        finally:
            self.now = before

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.read.total() + self.written.total()


@contextmanager
def counted() -> Iterator[Counting]:
    """Count what every Llama of this process reads in the body, by wrapping the forward of their class.

    A token counts as read where a pass takes it in, padding left out: what is masked, and what repeats the
    last token at the right end. A prompt that many rows share, and that is read once, counts once. Of what is
    written, a row's token counts where the model reads it on for the next one.
    """
    counts, writing = Counting(), False
    forward, on = LlamaForCausalLM.forward, Passes.on

    @functools.wraps(forward)
    def watched(self: Any, *args: Any, **given: Any) -> Any:
        if not writing:
            counts.read[counts.now] += own_tokens(given["input_ids"], given.get("attention_mask"))
        return forward(self, *args, **given)

    def reading_on(self: Passes, pool: Any) -> Any:
        nonlocal writing
        counts.written[counts.now] += len(pool.taken)
        writing = True
        try:
            return on(self, pool)
        finally:
            writing = False

    with patch.object(LlamaForCausalLM, "forward", watched), patch.object(Passes, "on", reading_on):
        yield counts


def own_tokens(ids: Tensor, mask: Any) -> int:
    """The tokens of a pass that are no padding."""
    if isinstance(mask, Tensor) and mask.ndim == 2 and not bool(mask.all()):
        return int(mask[:, -ids.shape[1] :].sum())
    repeats = (ids == ids[:, -1:]).flip(1).int().cumprod(dim=1).sum(dim=1)
    return int((ids.shape[1] - repeats + 1).sum())


@torch.inference_mode()
def bare_passes(model: LlamaForCausalLM, tokens: int, length: int) -> tuple[Callable[[], None], str]:
    """Forward passes of Hugging Face over so many tokens, in the fastest of several batches of texts of this
    length; and what that batch is."""
    vocab, spent = model.config.vocab_size, {}
    for rows in (1, 4, 16, 64, 256):
        ids = torch.randint(vocab, (rows, length), generator=torch.Generator().manual_seed(0))
        times = []
        for _ in range(4):
            start = perf_counter()
            model(input_ids=ids, use_cache=False)
            times.append((perf_counter() - start) / ids.numel())
        spent[rows] = min(times)
    best = min(spent, key=lambda rows: spent[rows])
    batch = torch.randint(vocab, (best, length), generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def passes() -> None:
        for _ in range(math.ceil(tokens / batch.numel())):
            model(input_ids=batch, use_cache=False)

    shapes = ", ".join(f"{rows}: {1e6 * each:.2f}" for rows, each in spent.items())
    return passes, f"{best} texts of {length} tokens (microseconds a token by number of texts: {shapes})"


def until_searched(task: Task, out: Path) -> None:
    """A comparison that is killed (SIGKILL) as soon as what its steering search found is kept."""
    kept = JobFolder.write

    def write(self: JobFolder, key: str, value: Any) -> None:
        kept(self, key, value)
        if key.endswith("/search"):
            os.kill(os.getpid(), signal.SIGKILL)

    with patch.object(JobFolder, "write", write):
        run(task, out)
    raise SystemExit("the comparison ended, and kept nothing of a search")


def timed(job: Callable[[], Any]) -> float:
    start = perf_counter()
    job()
    return perf_counter() - start


def row(name: str, over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the rounds' ratios; prints a table's row."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    middle = statistics.median(ratios)
    seconds = f"{statistics.median(over):.4g} s over {statistics.median(under):.4g} s"
    print(f"| {name} | {middle:.3f} | {min(ratios):.3f} to {max(ratios):.3f} | {seconds} |", flush=True)
    return round(middle, 4)
