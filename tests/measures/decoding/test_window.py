"""The null of the last tokens: it adds up what stands close by, and nothing that stands further off."""

import random
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint
from undertext.jobs.compare.evidence import carried_values
from undertext.measures.decoding.config import DecodingConfig
from undertext.measures.decoding.controls import Arm, surface_arm, window_arm
from undertext.measures.decoding.extras import description_length
from undertext.measures.decoding.readings import measure_other, measure_own, read_arm
from undertext.measures.decoding.values import Value
from undertext.measures.decoding.window import SIZES, window_features
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.task import Step

CONFIG = DecodingConfig()
ROWS = {"train": 400, "dev": 120, "test": 200}


@pytest.fixture(scope="module")
def words() -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


def summed(back: tuple[int, int], length: int = 24) -> Value:
    """Texts of random tokens 0 to 9; the value is the sum, modulo 5, of two that stand so far back."""
    rng = np.random.default_rng(0)
    windows, y = {}, {}
    for split, n in ROWS.items():
        texts = rng.integers(0, 10, (n, length))
        y[split] = torch.from_numpy((texts[:, -back[0]] + texts[:, -back[1]]) % 5)
        windows[split] = texts.tolist()
    problem = {split: torch.arange(n) for split, n in ROWS.items()}
    return Value(0, "v", list("01234"), y, problem, windows)


def share(value: Value, arm: Arm) -> float:
    return float(read_arm("logistic", value, arm, CONFIG).right["test"].double().mean())


@pytest.mark.parametrize(("back", "size"), [((1, 3), 4), ((2, 7), 8), ((5, 15), 16)])
def test_two_tokens_of_the_window_are_added_up(words, back, size):
    value = summed(back)
    arm = window_arm(value, words)
    reading = read_arm("logistic", value, arm, CONFIG)
    assert SIZES[reading.alternative % len(SIZES)] == size
    assert reading.right["test"].shape == (1, ROWS["test"])
    assert float(reading.right["test"].double().mean()) > 0.9
    assert share(value, surface_arm(value)) < 0.45
    # The alternative alone is the reading: nothing of the others is in what is reported.
    alone = read_arm("logistic", value, arm.only(reading.alternative), CONFIG)
    assert torch.equal(alone.right["test"], reading.right["test"])
    assert torch.equal(alone.on_dev, reading.on_dev)
    assert description_length(value, arm.only(reading.alternative), CONFIG).shape == (1,)


def test_what_stands_further_back_is_not(words):
    value = summed((2, 20))
    assert share(value, window_arm(value, words)) < 0.35


def test_features_of_a_row_hang_on_train_and_the_row_alone(words):
    value = summed((1, 3))
    whole = window_features(value.windows, value.y["train"], 5, words)
    some = {"train": value.windows["train"], "test": value.windows["test"][40:60]}
    part = window_features(some, value.y["train"], 5, words)
    width = part["test"].shape[2]
    torch.testing.assert_close(part["test"], whole["test"][:, 40:60, :width], rtol=1e-3, atol=1e-3)


def test_short_texts_and_tokens_that_train_never_showed(words):
    value = summed((1, 2), length=2)
    value.windows["test"][0] = [11, 12]
    found = window_features(value.windows, value.y["train"], 5, words)
    assert all(torch.isfinite(each).all() for each in found.values())
    assert share(value, window_arm(value, words)) > 0.9


def test_a_value_whose_operands_stand_right_before_it_is_not_carried(words):
    """Every step says its operands again: whoever reads it need know nothing."""
    rng = random.Random(0)
    problems = []
    for split, n in {"train": 200, "dev": 60, "test": 60}.items():
        for k in range(n):
            values = [rng.randrange(5), *(rng.randrange(10) for _ in range(2))]
            steps, total = [], values[0]
            for _, more in pairwise(values):
                text = f"{total} + {more} = {(total + more) % 5} ;"
                total = (total + more) % 5
                steps.append(Step(text=text, values={"v": total}))
            problems.append(
                Problem(id=f"{split}{k}", split=split, prompt="a :", answer=str(total), steps=steps)
            )
    task = Task(name="sums", description="Sums.", grader=Grader(kind="number"), problems=problems)
    points = [HookPoint(2, "resid_post")]
    own = measure_own(words, task, ["test"], points, max_classes=20, seed=0)
    readings = measure_other(own, words, words, points, seed=0)
    assert readings.accuracy("v", "dev", "window") > 0.95
    assert carried_values(readings, 0.15) == []
