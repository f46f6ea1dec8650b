"""What a job's checkpoints really read and write, stage by stage: beside what its plan says."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from torch import Tensor
from transformers import PreTrainedModel

from undertext.activations import hooks
from undertext.activations.passes import Passes
from undertext.activations.sampling import Stopping
from undertext.core.progress import Progress
from undertext.steering import reinforced


class Counting(Progress):
    """Progress that knows which stage a job is at; stages within another count for the outer one."""

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


def count(patch: pytest.MonkeyPatch, *models: PreTrainedModel) -> Counting:
    """Count by stage, until the patch is undone: tokens of prompts and texts that any model of these classes
    reads, padding left out, and tokens that are generated.
    """
    counted, writing_on, checking = Counting(), [False], [False]

    def watched(forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def pass_of(self: Any, *args: Any, **given: Any) -> Any:
            # A checkpoint's layout is checked once with a few tokens, whatever the job (`activations.hooks`).
            if not writing_on[0] and not checking[0]:
                counted.read[counted.now] += _tokens(given["input_ids"], given.get("attention_mask"))
            return forward(self, *args, **given)

        return pass_of

    def during(flag: list[bool], function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **given: Any) -> Any:
            flag[0] = True
            try:
                return function(*args, **given)
            finally:
                flag[0] = False

        return called

    def cut(self: Stopping, tokens: Sequence[int], *, own: Callable[..., Any] = Stopping.cut) -> Any:
        counted.written[counted.now] += len(tokens)
        return own(self, tokens)

    class Again(Stopping):
        """What training by reward samples is cut by it once more, and is written once."""

        def cut(self, tokens: Sequence[int]) -> Any:
            before = counted.written[counted.now]
            found = super().cut(tokens)
            counted.written[counted.now] = before
            return found

    for kind in {type(model) for model in models}:
        patch.setattr(kind, "forward", watched(kind.forward))
    patch.setattr(Passes, "on", during(writing_on, Passes.on))
    patch.setattr(hooks, "_read_few_tokens", during(checking, hooks._read_few_tokens))
    patch.setattr(Stopping, "cut", cut)
    patch.setattr(reinforced, "Stopping", Again)
    return counted


def _tokens(ids: Tensor, mask: Any) -> int:
    """Tokens of one pass; a single one is a stand-in, at which activations are unembedded.

    What pads a text on the left is masked; on the right its last token is repeated, which no text of these
    tests ends in by itself.
    """
    if isinstance(mask, Tensor) and ids.shape == mask.shape == (1, 1):
        return 0
    if isinstance(mask, Tensor) and mask.ndim == 2 and not bool(mask.all()):
        return int(mask[:, -ids.shape[1] :].sum())
    total = 0
    for row in ids.tolist():
        n = len(row)
        while n > 1 and row[n - 1] == row[n - 2]:
            n -= 1
        total += n
    return total
