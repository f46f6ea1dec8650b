"""A label beside its nulls: accuracies against probes fitted by hand, whole and with a group held out."""

import numpy as np
import pytest
import torch

from tests.search_task import SAYS, search_task
from tests.trails_task import toy
from undertext.activations import HookPoint, capture
from undertext.measures.decoding.beside_nulls import (
    BESIDE,
    CHANCE,
    OWN,
    Beside,
    cannot_be_read,
    read_beside,
)
from undertext.probes import Surface, fit_select
from undertext.tasks.spans import join
from undertext.tasks.value_tokens import ValueTokens, locate_labels

CLASSES = ["alive", "dead"]
POINTS = [HookPoint(1, "resid_post"), HookPoint(2, "resid_post")]
TASK = search_task(train=60, dev=30, test=12)
TYPES = ("even", "odd")


def rows_of(split: str) -> list[list[tuple[int, str]]]:
    """The ends of steps that do not say what they are, as characters of the reading text."""
    made = []
    for problem in TASK.split(split):
        end, own = len(problem.prompt), []
        for step in problem.steps:
            end += 1 + len(step.text)
            if not step.text.endswith(SAYS.rstrip("$")):
                own.append((end, CLASSES[step.dead]))
        made.append(own)
    return made


def texts_of(split: str) -> list[str]:
    return [join(problem.prompt, problem.reasoning) for problem in TASK.split(split)]


@pytest.fixture(scope="module")
def tokens() -> dict[str, ValueTokens]:
    names = {"train": "train", "dev": "dev", "read": "test"}
    return {name: locate_labels(toy(), texts_of(s), rows_of(s), "state") for name, s in names.items()}


@pytest.fixture(scope="module")
def groups() -> dict[str, list[str]]:
    splits = {"train": "train", "dev": "dev", "read": "test"}
    return {name: [TYPES[k % 2] for k, _ in enumerate(TASK.split(s))] for name, s in splits.items()}


def by_hand(split: str, kind: str | None = None):
    """Activations, tokens so far and labels, a text at a time."""
    checkpoint, X, y, windows = toy(), [], [], []
    for k, (text, own) in enumerate(zip(texts_of(split), rows_of(split), strict=True)):
        for end, label in own if kind in (None, TYPES[k % 2]) else []:
            X.append(capture(checkpoint, [text[:end]], POINTS, "last").activations[:, 0])
            y.append(CLASSES.index(label))
            windows.append(checkpoint.encode([text[:end]])[0])
    return torch.stack(X, 1), torch.tensor(y), windows


def test_all_rows_are_read_as_by_hand(tokens):
    found = read_beside(toy(), tokens, "state", CLASSES, POINTS, "read", seed=0)
    (X, y, w), (X_dev, y_dev, w_dev), (X_test, y_test, w_test) = map(by_hand, ("train", "dev", "test"))
    assert found.label == [CLASSES[each] for each in y_test.tolist()]
    assert set(found.right) == {OWN, CHANCE, *BESIDE}
    chosen = fit_select(X, y, X_dev, y_dev, strengths=(0.003, 0.03, 0.3))
    assert found.layer == POINTS[chosen.layer].layer
    right = chosen.correct(X_test, y_test)[chosen.layer].double().numpy()
    assert np.mean(found.right[OWN] == right) > 0.95
    surface = Surface(w)
    of_text = [surface.features(each)[None] for each in (w, w_dev, w_test)]
    probe = fit_select(of_text[0], y, of_text[1], y_dev, strengths=(0.003, 0.03, 0.3))
    assert np.mean(found.right["surface"] == probe.correct(of_text[2], y_test)[0].double().numpy()) > 0.95
    assert found.right[CHANCE].tolist() == (y_test == y.bincount().argmax()).double().tolist()
    assert set(np.unique(found.right["shuffled"] * 3).round(6)) <= {0.0, 1.0, 2.0, 3.0}


def test_a_group_is_read_by_probes_of_the_others(tokens, groups):
    found = read_beside(toy(), tokens, "state", CLASSES, POINTS, "read", seed=0, groups=groups)
    assert found.layer is None
    for kind, other in (TYPES, TYPES[::-1]):
        (X, y, _), (X_dev, y_dev, _), (X_test, y_test, _) = (
            by_hand("train", other), by_hand("dev", other), by_hand("test", kind),
        )  # fmt: skip
        chosen = fit_select(X, y, X_dev, y_dev, strengths=(0.003, 0.03, 0.3))
        right = chosen.correct(X_test, y_test)[chosen.layer].double().numpy()
        own = np.array([TYPES[k % 2] == kind for k in found.problem.tolist()])
        assert np.mean(found.right[OWN][own] == right) > 0.9
        assert found.right[CHANCE][own].tolist() == (y_test == y.bincount().argmax()).double().tolist()


def test_a_group_of_which_no_other_is_known_is_not_read(tokens, groups):
    alike = {**groups, "train": ["even"] * len(groups["train"])}
    found = read_beside(toy(), tokens, "state", CLASSES, POINTS, "read", seed=0, groups=alike)
    even = np.array([TYPES[k % 2] == "even" for k in found.problem.tolist()])
    assert np.isnan(found.right[OWN][even]).all()
    assert not np.isnan(found.right[OWN][~even]).any()


def test_means_over_each_text():
    right = {OWN: np.array([1.0, 0.0, 1.0, np.nan])}
    found = Beside(np.array([0, 0, 2, 3]), [""] * 4, right, None).per_text(OWN, 4)
    np.testing.assert_array_equal(found, [0.5, np.nan, 1.0, np.nan])


def test_why_a_label_cannot_be_read(tokens):
    assert cannot_be_read(tokens, "state", 2) is None
    assert cannot_be_read(tokens, "other", 2) == "train has it nowhere"
    few = locate_labels(toy(), texts_of("train")[:9], rows_of("train")[:9], "state")
    assert "places of train, fewer than 40" in (cannot_be_read({**tokens, "train": few}, "state", 2) or "")
    none = locate_labels(toy(), texts_of("dev"), [[] for _ in texts_of("dev")], "state")
    assert "dev has it nowhere" in (cannot_be_read({**tokens, "dev": none}, "state", 2) or "")
