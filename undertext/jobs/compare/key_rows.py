"""The table `accuracy_by_key`: the weaker checkpoint's accuracy under the best key of each kind, with its
null."""

from collections.abc import Sequence
from typing import Any

from undertext.core.statistics import bootstrap, only, proportion
from undertext.jobs.compare.raw_line import RawLine


def key_rows(split: str, lines: Sequence[RawLine], *, seed: int, level: float) -> list[dict[str, Any]]:
    """A row a line that is accuracy under a key (`unaided` is given), over all problems of the split.

    `null` is the mean of what outputs without information would score: 1 where the weaker was right by
    itself, and elsewhere the chance that the same output is right for another problem. Its interval is a
    bootstrap over problems.
    """
    rows = []
    for line in lines:
        if line.unaided is None:
            continue
        own = proportion(line.weaker, level, line.clusters)
        null = bootstrap(only, line.null[:, None], seed=seed, level=level, clusters=line.clusters)
        rows.append(
            {
                "split": split,
                "line": line.name,
                "n": len(line.problems),
                "accuracy": own.value,
                "low": own.low,
                "high": own.high,
                "null": null.value,
                "null_low": null.low,
                "null_high": null.high,
            }
        )
    return rows
