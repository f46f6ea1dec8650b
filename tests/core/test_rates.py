"""With how many rows the rate of writing is measured."""

from collections.abc import Callable

import pytest

from tests.toys import tiny_folder
from undertext.activations import Checkpoint
from undertext.core import rates
from undertext.core.plan import Trial, Work


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint.load(tiny_folder(tmp_path_factory.mktemp("rates")))


@pytest.mark.parametrize(
    ("seconds", "tried"),
    [
        # A busy machine: every pass waits, and rows beside the first add little.
        (lambda rows: 0.6 + 0.001 * rows, [1, 8, 64, 512]),
        # A large checkpoint, whose first row is long by itself.
        (lambda rows: 1.5 + 0.1 * rows, [1]),
        # Rows that cost as much as the first: the next should be eight times as long.
        (lambda rows: 0.1 * rows, [1, 8]),
        (lambda rows: 0.001, [1, 8, 64, 512]),
    ],
)
def test_more_rows_are_tried_while_they_should_not_take_long(
    monkeypatch: pytest.MonkeyPatch, tiny: Checkpoint, seconds: Callable[[int], float], tried: list[int]
) -> None:
    def made_up(
        checkpoint: Checkpoint, trial: Trial, encoded: object, rows: int, **_: bool
    ) -> tuple[float, float]:
        return seconds(rows) / rates.STEPS, seconds(rows)

    monkeypatch.setattr(rates, "_pass", made_up)
    works = [Work("writing", rows=600, read=6000, written=6000)]
    measured = rates.measure_rates(Trial(tiny, ["a b c"], 512, 8), works)
    assert list(measured.passes) == tried
    assert measured.passes == {rows: pytest.approx(seconds(rows) / rates.STEPS) for rows in tried}


def test_rows_are_written_as_often_as_said(tiny: Checkpoint) -> None:
    """By a real model: what is measured are the widths up to the most that the works have."""
    works = [Work("writing", rows=20, read=200, written=200)]
    measured = rates.measure_rates(Trial(tiny, ["a b c", "a b"], 512, 4), works)
    assert set(measured.passes) <= {1, 8, 20}
    assert 1 in measured.passes
    assert all(each > 0 for each in measured.passes.values())
