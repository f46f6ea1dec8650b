"""How likely both checkpoints find each token of the outputs, and what is read there of a value
and of a feature: parts of the job, and the table `tokens`, by which the page shades them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa

from undertext.activations.pair import Pair
from undertext.core.job import JobRun
from undertext.core.resume import Done, Part
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.token_probe import ValueProbe
from undertext.measures.features.at_tokens import TokenFeature
from undertext.measures.trace.output_tokens import OutputTokens, output_tokens
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem, Task

Output = Literal["base", "tuned", "steered"]
"""Whose output: a checkpoint's own, or the weaker's with the best vector."""
OUTPUTS: tuple[Output, ...] = get_args(Output)


def _of(kind: pa.DataType) -> pa.DataType:
    # Named as a parquet file names it: what is read back is then the same, to the byte.
    return pa.list_(pa.field("element", kind))


TOKENS = pa.schema(
    [
        ("split", pa.string()), ("id", pa.string()), ("output", pa.string()), ("reader", pa.string()),
        ("starts", _of(pa.int32())), ("end", pa.int32()), ("log_probs", _of(pa.float32())),
        ("ranks", _of(pa.int32())), ("name", pa.string()), ("layer", pa.int32()), ("label", pa.string()),
        ("probe", _of(pa.float32())), ("feature", pa.int32()), ("strength", _of(pa.float32())),
    ]
)  # fmt: skip
"""Columns of the table `tokens`: a row an output and the checkpoint that reads it. Those from `name` to
`probe` are null where no probe reads the problem, the last two without an SAE."""


class Reading(NamedTuple):
    """Outputs of one kind on a split, as one checkpoint reads them."""

    split: str
    output: Output
    reader: Role
    ids: list[str]
    """The problems, in the order of the outputs."""
    tokens: OutputTokens
    probed: list[str | None]
    """The value of each problem whose probability the probe gives; None where it gives none."""


def why_no_tokens(pair: Pair, task: Task, config: CompareConfig) -> str | None:
    """Why no output is read token by token; None where outputs are."""
    if not config.token_problems:
        return "`token_problems` is 0"
    if task.grader.kind == "likelihood":
        return "answers are chosen by likelihood, and no text is written"
    slow = [role for role, checkpoint in zip(ROLES, pair, strict=True) if not checkpoint.tokenizer.is_fast]
    if slow:
        return f"the tokenizer of the {' and the '.join(slow)} cannot say which characters a token holds"
    return None


def read_of(task: Task, split: str, config: CompareConfig) -> list[Problem]:
    """The problems of a split whose outputs are read."""
    return drawn(task.split(split), config.seed, config.token_problems)


def read_tokens(
    run: JobRun,
    pair: Pair,
    tasks: Mapping[Role, Task],
    outputs: Mapping[str, Mapping[Output, Sequence[str]]],
    config: CompareConfig,
    of_base: Mapping[str, Any],
    value: ValueProbe | None = None,
    feature: TokenFeature | None = None,
) -> list[Reading]:
    """Read outputs, by split and kind, with both checkpoints, each after the prompt that it reads itself.

    `of_base` is what the base's outputs depend on, which other comparisons may share. The probes of `value`
    and a `feature` of an SAE read the same passes.
    """
    place = {
        split: {problem.id: i for i, problem in enumerate(tasks["base"].split(split))} for split in outputs
    }

    def wanted(split: str, role: Role) -> list[int | None]:
        """The class of each problem that is read; none at all where no probe reads the split."""
        if value is None:
            return []
        rows = [place[split][problem.id] for problem in read_of(tasks[role], split, config)]
        found = value.wanted(role, split, rows)
        return found if any(each is not None for each in found) else []

    def read(split: str, output: Output, role: Role, done: Done) -> OutputTokens:
        problems, classes = read_of(tasks[role], split, config), wanted(split, role)
        texts = [outputs[split][output][place[split][problem.id]] for problem in problems]
        probe = value.probes[role] if value is not None and classes else None
        fires = None if feature is None else feature.reading(role)
        return output_tokens(
            getattr(pair, role), problems, texts, probe=probe, wanted=classes, feature=fires, progress=done
        )

    def of(split: str) -> Mapping[str, Any]:
        """What the base's reading of its own outputs depends on: the probe is chosen with the tuned."""
        classes = wanted(split, "base")
        probe = value.digest("base", classes) if value is not None and classes else None
        return {**of_base, "probe": probe, "feature": None if feature is None else feature.digest("base")}

    keys = [(split, output, role) for role in ROLES for split, kinds in outputs.items() for output in kinds]
    parts = [
        Part(
            f"tokens/{split}/{output}-by-{role}",
            partial(read, split, output, role),
            len(read_of(tasks[role], split, config)),
            f"{role} reads outputs",
            of(split) if (output, role) == ("base", "base") else None,
        )
        for split, output, role in keys
    ]
    found = []
    for (split, output, role), tokens in zip(keys, run.make(parts), strict=True):
        ids = [problem.id for problem in read_of(tasks[role], split, config)]
        labels: list[str | None] = [None] * len(ids)
        if value is not None and (classes := wanted(split, role)):
            labels = [None if k is None else value.classes[role][k] for k in classes]
        found.append(Reading(split, output, role, ids, tokens, labels))
    return found


def token_table(
    readings: Sequence[Reading], value: ValueProbe | None = None, feature: TokenFeature | None = None
) -> pa.Table:
    """The table `tokens`."""
    rows = []
    for split, output, reader, ids, tokens, probed in readings:
        ends = np.cumsum(tokens.counts)
        for row, name in enumerate(ids):
            start, end = ends[row] - tokens.counts[row], ends[row]
            label: str | None = probed[row]
            read: dict[str, Any] = {}
            if value is not None and tokens.probe is not None and label is not None:
                layer = value.probes[reader].point.layer
                read = {"name": value.name, "layer": layer, "label": label, "probe": tokens.probe[start:end]}
            if feature is not None and tokens.feature is not None:
                read |= {"feature": feature.feature, "strength": tokens.feature[start:end]}
            rows.append(
                {
                    "split": split,
                    "id": name,
                    "output": output,
                    "reader": reader,
                    "starts": tokens.starts[start:end],
                    "end": tokens.ends[row],
                    "log_probs": tokens.log_probs[start:end],
                    "ranks": tokens.ranks[start:end],
                    **read,
                }
            )
    return pa.Table.from_pylist(rows, TOKENS)
