"""Dose-response sweeps: every setting over every prompt, as rows of the same batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.steering.settings import Readout, Setting
from undertext.steering.steering_vector import SteeringVector
from undertext.steering.sweep_runner import Grade, Key, Offered, Options, RowStore, SweepRunner

Grading = Literal["strict", "lenient"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What came of each setting on each prompt."""

    settings: list[Setting]
    ran: Bool[Tensor, "setting prompt"]
    """Where anything was written at all: everywhere, unless the sweep was an adaptive one."""
    strict: Bool[Tensor, "setting prompt"]
    """Right, strictly graded; false where nothing was run, as is `lenient`."""
    lenient: Bool[Tensor, "setting prompt"]
    texts: list[list[str]]
    """What was written, `texts[setting][prompt]`; empty where nothing was run."""
    touched: Int[Tensor, "setting prompt"]
    """At how many tokens, of the prompt and generated, a row was steered."""
    written: Int[Tensor, "setting prompt"]
    """Of how many whole tokens the text is; a stop string and the end token do not count."""
    steered: Int[Tensor, "setting prompt"]
    """How many generated tokens were chosen in a pass that was steered (`Generations.steered`), and"""
    produced: Int[Tensor, "setting prompt"]
    """of how many: a stop string and the end token count."""
    passes: Int[Tensor, "setting prompt"]
    """How many tokens of prompt and text were read."""

    @property
    def cut(self) -> Bool[Tensor, "setting prompt"]:
        """Where a text was cut at `max_new_tokens`."""
        return self.ran & (self.written == self.produced)

    def accuracy(self, grading: Grading = "lenient") -> Float[Tensor, " setting"]:
        """Share of right texts among those of each setting's prompts that were run; NaN where none was."""
        right = self.strict if grading == "strict" else self.lenient
        return right.sum(1) / self.ran.sum(1)

    def share_steered(self) -> Float[Tensor, " setting"]:
        """Share of the generated tokens that were chosen in a steered pass; NaN where nothing was run.

        A pass reads one token and chooses the next, so an intervention at the prompt's last token steers the
        first generated one.
        """
        return self.steered.sum(1) / self.produced.sum(1)

    def share_touched(self) -> Float[Tensor, " setting"]:
        """Share of all tokens read, those of the prompts among them, at which something was changed."""
        return self.touched.sum(1) / self.passes.sum(1)


def sweep(
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    settings: Sequence[Setting],
    vectors: Sequence[SteeringVector],
    grade: Grade,
    *,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    thresholds: Mapping[str, Readout] | None = None,
    batch_size: int = 512,
    keep: RowStore | None = None,
    progress: Callable[[int], None] | None = None,
    offered: Offered | None = None,
) -> Sweep:
    """Generate greedily from every prompt under every setting.

    Args:
        checkpoint: what is steered.
        prompts: texts.
        settings: each once.
        vectors: those that the settings name.
        grade: `grade(i, text, cut)` says whether `text` is right for prompt `i`, strictly and leniently;
            `cut` says that it was cut at `max_new_tokens`.
        max_new_tokens: most tokens a row writes.
        stop: strings that end a row.
        thresholds: those that the settings name.
        batch_size: rows that are generated together, and kept together.
        keep: keeps rows as they come, in files with `core.sweep_rows.SweepRows(folder)`. Killed and called
            again, the sweep goes on from these rows; texts are graded anew.
        progress: called with the number of rows there since its last call.
        offered: choices; a row's text is then the likeliest of its prompt's, and nothing is written.

    Raises:
        UserError: for a setting whose vector, layer or threshold is not there or which occurs twice, a
            vector that does not fit the checkpoint, and a `keep` of another sweep or damaged rows.
    """
    options = Options(max_new_tokens, tuple(stop), batch_size, keep, progress, offered)
    runs = SweepRunner(checkpoint, prompts, settings, vectors, thresholds, options)
    every = [Key(i, j) for i in range(len(settings)) for j in range(len(prompts))]
    runs.run(every)
    return gather(runs, settings, len(prompts), grade, every)


def gather(
    runs: SweepRunner, settings: Sequence[Setting], prompts: int, grade: Grade, keys: Sequence[Key]
) -> Sweep:
    """The sweep in which these rows were run."""
    shape = (len(settings), prompts)
    # Numbers are put into NumPy's arrays one by one: a tensor takes ten times as long for each.
    ran, strict, lenient = (np.zeros(shape, bool) for _ in range(3))
    touched, written, steered, produced, passes = (np.zeros(shape, np.int64) for _ in range(5))
    texts = [[""] * prompts for _ in settings]
    for key in keys:
        row = runs.rows[key]
        ran[key] = True
        strict[key], lenient[key] = runs.grade(key, grade)
        texts[key.setting][key.prompt] = row.text
        touched[key], written[key] = row.touched, row.written
        steered[key], produced[key], passes[key] = row.steered, row.produced, runs.passes(key)
    filled = {
        "ran": ran, "strict": strict, "lenient": lenient,
        "touched": touched, "written": written, "steered": steered, "produced": produced, "passes": passes,
    }  # fmt: skip
    tensors = {name: torch.from_numpy(each) for name, each in filled.items()}
    return Sweep(settings=list(settings), texts=texts, **tensors)
