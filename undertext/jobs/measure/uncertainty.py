"""Internal uncertainty against voiced uncertainty."""

from typing import Any

import numpy as np
from numpy import ndarray

from undertext.core.terms import CHOOSE, FIT, Role
from undertext.jobs.measure.stage import Stage
from undertext.measures.answers import Answers
from undertext.measures.trace.uncertainty import binned, brier
from undertext.tasks.draws import drawn


def uncertainty(stage: Stage) -> None:
    """Internal uncertainty against voiced uncertainty."""
    columns: dict[tuple[str, str], dict[Role, ndarray]] = {}
    for role in stage.roles:
        task, config = stage.work.subjects[role].task, stage.work.config
        fit, choose = (drawn(task.split(split), config.seed, config.fit_problems) for split in (FIT, CHOOSE))
        parts = [stage.work.fit_part(role, FIT, fit), stage.work.fit_part(role, CHOOSE, choose)]
        fitted: list[Answers] = stage.run.make(parts)
        (doubt,) = stage.run.make(
            [stage.work.doubt_part(role, (fitted[0], fitted[1]), (fit, choose), stage.layers)]
        )
        stage.doubt[role] = doubt
        if doubt.reason:
            stage.collected.miss("uncertainty", role, doubt.reason)
            continue
        wrong = ~stage.right[role]
        for name, read in (("internal", doubt.internal), ("voiced", doubt.voiced)):
            columns.setdefault((name, "Brier score"), {})[role] = brier(read.wrong, wrong)
            columns.setdefault((name, "calibration error"), {})[role] = binned(read.wrong, wrong)
            pairs = np.stack([read.wrong, wrong.astype(float)], -1)
            columns.setdefault((name, "area under the ROC curve"), {})[role] = pairs
    for (name, figure), by_role in columns.items():
        options: dict[str, Any] = {"kind": "bounded"}
        if figure == "calibration error":
            options = {"kind": "statistic", "statistic": _summed}
        elif figure.startswith("area"):
            options = {"kind": "roc"}
        stage.collected.add("uncertainty", f"{name}: {figure}", "", by_role=by_role, **options)


def _summed(means: ndarray) -> ndarray:
    """The calibration error, from the means of each bin's differences."""
    return np.asarray(np.abs(means).sum(-1))
