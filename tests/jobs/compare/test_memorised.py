"""The flag `memorised`, on made-up figures of completions and of answers to other numbers."""

import numpy as np
import pytest

from tests.trails_task import problem
from tests.verdicts import RULE
from undertext.core.statistics import (
    proportion,
    unpaired_difference,
)
from undertext.core.terms import Role
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.text_flags import memorised, on_other_numbers
from undertext.jobs.compare.trace_parts import OtherNumbers, TraceReads
from undertext.measures.answers import Answers
from undertext.measures.trace.completion import Completed
from undertext.tasks import Grader, Task

CONFIG = CompareConfig(splits=("test",))
TASK = Task(
    name="made up", description="For a test.", grader=Grader(kind="number"),
    problems=[
        problem(k, split=split, id=f"{split}{k:02}") for split in ("test", "train", "dev") for k in range(40)
    ],
)  # fmt: skip


def completions(exact: int, chance: float) -> Completed:
    return Completed(list(range(40)), np.arange(40) < exact, np.full(40, chance), 0)


@pytest.mark.parametrize(
    ("seen", "fresh", "flagged"),
    [((24, 0.0), (0, 0.0), True), ((24, 0.0), (24, 0.0), False), ((40, 1.0), (0, 0.0), False),
     ((6, 0.0), (0, 0.0), False)],
)  # fmt: skip
def test_memory_is_what_fresh_problems_and_chance_do_not_explain(seen, fresh, flagged):
    done: dict[tuple[str, Role], Completed] = {
        ("test", "base"): completions(*seen),
        ("dev", "base"): completions(*fresh),
    }
    figures, flags = memorised("base", TraceReads({}, done), TASK, "test", CONFIG, RULE)
    assert len(flags) == flagged
    assert figures[-1].flag == ("memorised" if flagged else None)
    assert figures[-1].estimate.value == pytest.approx((seen[0] - fresh[0]) / 40 - seen[1])
    alone = memorised("base", TraceReads({}, done), TASK, "dev", CONFIG, RULE)
    assert alone.flags == []
    assert len(alone.figures) == 2


@pytest.mark.parametrize(
    ("seen", "fresh", "flagged"), [(36, 8, True), (36, 34, False), (8, 36, False), (36, 40, False)]
)
def test_memory_of_answers_is_what_other_numbers_do_not_explain(seen, fresh, flagged):
    known = OtherNumbers(list(range(40)), list(range(40)), np.arange(40) < fresh)
    reads = TraceReads({}, {}, {("test", "base"): known})
    right = np.arange(40) < seen
    own = Answers([""] * 40, right, right, np.ones(40), np.zeros(40, bool))
    figures, flags = on_other_numbers("base", reads, TASK, "test", own, CONFIG, RULE)
    wanted = unpaired_difference(proportion(np.arange(40) < fresh), proportion(right))
    assert figures[-1].estimate == wanted
    assert (figures[-1].flag == "memorised") == flagged == (wanted.low > RULE.memorised_above)
    assert len(flags) == flagged
    if flagged:
        assert flags[0].startswith(
            "memorised: the base is right on 0.90 of these problems, and on 0.20 of those of 'dev' that "
        )
    few = OtherNumbers([*range(10)], [*range(10)], np.zeros(10, bool))
    reads = TraceReads({}, {}, {("test", "base"): few})
    assert on_other_numbers("base", reads, TASK, "test", own, CONFIG, RULE).flags == []
    assert on_other_numbers("tuned", reads, TASK, "test", own, CONFIG, RULE).figures == []
