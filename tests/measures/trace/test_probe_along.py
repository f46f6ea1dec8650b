"""A probe along traces: what stands in the text is read from there on; figures against a plain loop."""

import random

import numpy as np
import pytest
import torch

from tests.trails_task import RULE, problem, task_of, toy
from undertext.activations import HookPoint, capture
from undertext.measures.trace.lens import MAX_ANSWERS
from undertext.measures.trace.probe_along import POINTS, read_along
from undertext.measures.trace.trails import Trail, output_trails
from undertext.probes import fit_select


def drawn(n: int, seed: int, steps: int = 3) -> list[tuple[Trail, str]]:
    """Traces whose second step says the label, and nothing else of the text does."""
    rng = random.Random(seed)
    made = []
    for k in range(n):
        label = rng.choice("de")
        middle = [f"{label} = {rng.randrange(10)} ;" for _ in range(max(0, steps - 1))]
        text = " ".join([*[f"a = {rng.randrange(10)} ;", *middle][:steps], "answer 1"])
        asked = problem(k, answer="1")
        made.append((output_trails(task_of([asked]), [asked], [text], [False], RULE)[0], label))
    return made


def test_a_label_is_read_from_where_the_text_says_it_on():
    fit, choose, read = drawn(60, 0), drawn(40, 1), drawn(20, 2)
    found = read_along(toy(), fit, choose, [trail for trail, _ in read], [0, 1, 2])
    assert found.reason == ""
    assert found.classes == ["d", "e"]
    for k, (trail, label) in enumerate(read):
        p = found.of(k, label)
        assert p is not None
        assert len(p) == len(trail.steps) + 1 == 4
        np.testing.assert_allclose(found.probability[k].sum(1), 1.0, atol=1e-6)
        assert found.of(k, "none of them") is None
        assert found.of(k, None) is None
    early, late = (
        np.mean([found.probability[k][some, found.classes.index(label)] for k, (_, label) in enumerate(read)])
        for some in (slice(0, 2), slice(2, None))
    )
    assert early == pytest.approx(0.5, abs=0.1)
    assert late > 0.7


def test_it_is_what_a_loop_over_texts_gives():
    checkpoint = toy()
    fit, choose, read = drawn(40, 0), drawn(30, 1), drawn(5, 2)
    found = read_along(checkpoint, fit, choose, [trail for trail, _ in read], [1])

    def rows(traces):
        X, y = [], []
        for trail, label in traces:
            for point in trail.points:
                text = trail.reading[:point]
                X.append(capture(checkpoint, [text], [HookPoint(1, "resid_post")], "last").activations[:, 0])
                y.append("de".index(label))
        return torch.stack(X, 1), torch.tensor(y)

    chosen = fit_select(*rows(fit), *rows(choose))
    wanted = chosen.probe.predict_proba(rows(read)[0])[0].double().numpy()
    np.testing.assert_allclose(np.concatenate(found.probability), wanted, atol=0.02)


@pytest.mark.parametrize("steps", [0, 1, 30])
def test_traces_without_a_step_with_one_and_with_many(steps):
    found = read_along(
        toy(), drawn(30, 0, steps), drawn(20, 1, steps), [t for t, _ in drawn(3, 2, steps)], [1]
    )
    assert [len(p) for p in found.probability] == [steps + 1] * 3
    assert all(np.isfinite(p).all() for p in found.probability)
    assert steps < POINTS or steps + 1 > POINTS


def test_why_there_is_no_reading():
    one = [(trail, "d") for trail, _ in drawn(20, 0)]
    found = read_along(toy(), one, one, [one[0][0]], [1])
    assert found.reason == f"1 labels stand on 5 traces of train or more, of 2 to {MAX_ANSWERS}"
    assert found.of(0, "d") is None
    found = read_along(toy(), drawn(30, 0), one, [one[0][0]], [1])
    assert found.reason == "dev has fewer than two of the labels, and layers are chosen there"
