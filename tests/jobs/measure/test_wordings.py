"""Sensitivity to wording, problem by problem, on a made-up model."""

from itertools import combinations

import numpy as np
import pytest

from tests.trails_task import toy, whole_task
from undertext import MeasureConfig, measure


def test_a_problem_with_one_wording_has_no_sensitivity():
    task = whole_task()
    worded = [
        p.model_copy(update={"paraphrases": [f"find a , {p.prompt}", f"so {p.prompt}"]})
        if p.split == "test" and int(p.id.removeprefix("test") or 0) % 2
        else p
        for p in task.problems
    ]
    found = measure(
        toy(), None, task.model_copy(update={"problems": worded}), "sensitivity",
        config=MeasureConfig(problems=12, threads=1), progress=False,
    )  # fmt: skip
    scores = {row["problem"]: row["sensitivity"] for row in found.tables["outputs"].to_pylist()}
    right: dict[str, list[bool]] = {}
    for row in found.tables["wordings"].to_pylist():
        right.setdefault(row["problem"], []).append(row["right"])
    assert {problem for problem, score in scores.items() if score is not None} == right.keys()
    assert 2 <= len(right) < len(scores)
    for problem, own in right.items():
        assert len(own) == 3
        assert scores[problem] == pytest.approx(np.mean([a != b for a, b in combinations(own, 2)]))
    figure = found.of("sensitivity", "PromptSensiScore").base
    assert figure is not None
    known = [score for score in scores.values() if score is not None]
    assert figure.value == pytest.approx(np.mean(known))
    assert figure.n == len(known)
