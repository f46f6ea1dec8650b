"""Internal uncertainty against voiced uncertainty."""

from typing import Any

import numpy as np
from numpy import ndarray

from undertext.core.terms import CHOOSE, FIT, Role
from undertext.jobs.measure.stage import Stage, unfinished_fit, without
from undertext.measures.trace.uncertainty import binned, brier


def uncertainty(stage: Stage) -> None:
    """Internal uncertainty against voiced uncertainty."""
    columns: dict[tuple[str, str], dict[Role, ndarray]] = {}
    for role in stage.roles:
        fit, choose = (stage.fitted(role)[split] for split in (FIT, CHOOSE))
        answers, problems = (fit.answers, choose.answers), (fit.problems, choose.problems)
        unfinished_fit(stage, role, "uncertainty")
        (doubt,) = stage.run.make([stage.work.doubt_part(role, answers, problems, stage.layers)])
        stage.doubt[role] = doubt
        if doubt.reason:
            stage.collected.miss("uncertainty", role, doubt.reason)
            continue
        wrong, cut = ~stage.right[role], stage.work.answers[role].unfinished
        for name, read in (("internal", doubt.internal), ("voiced", doubt.voiced)):
            pairs = np.stack([read.wrong, wrong.astype(float)], -1)
            for figure, values in (
                ("Brier score", brier(read.wrong, wrong)),
                ("calibration error", binned(read.wrong, wrong)),
                ("area under the ROC curve", pairs),
            ):
                columns.setdefault((name, figure), {})[role] = without(values, cut)
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
