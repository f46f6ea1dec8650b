"""The line `continued`: over the gap, beside the harder of its nulls."""

import numpy as np
import pytest

from undertext.jobs.compare.step_lines import ELSEWHERE, continued_line
from undertext.measures.trace.continued import Continued, StepValue


def steps(right: list[float], by_chance: float = 0.1, first: int = 0) -> Continued:
    """Two values a problem; of each problem this share is right."""
    values = [StepValue(i, name, (7,), (3,)) for i in range(first, len(right)) for name in ("a", "b")]
    rows = [float(share > at) for share in right[first:] for at in (0.25, 0.75)]
    return Continued(values, [(7,)] * len(values), np.array(rows), np.full(len(values), by_chance))


def test_figures_are_those_of_each_problem_in_the_gap():
    measured = {
        "weaker": steps([1.0, 0.5, 0.0, 0.5], by_chance=0.2),
        "stronger": steps([1.0, 1.0, 1.0, 0.5]),
        "random_init": steps([0.0, 0.0, 0.0, 0.0]),
    }
    line = continued_line(measured, [1, 2, 3], np.array([0, 0, 1, 1]))
    assert line is not None
    assert (line.name, line.access) == ("continued", "the trace")
    assert line.problems.tolist() == [1, 2, 3]
    assert line.weaker.tolist() == [0.5, 0.0, 0.5]
    assert line.stronger.tolist() == [1.0, 1.0, 0.5]
    assert line.null.tolist() == pytest.approx([0.2, 0.2, 0.2])
    assert line.clusters is not None
    assert line.clusters.tolist() == [0, 1, 1]
    assert (
        "before them given: 6 values of 3 problems; null: the same next steps graded as other problems'"
        in line.note
    )


def test_a_model_that_was_never_trained_may_be_the_harder_null():
    measured = {
        "weaker": steps([1.0] * 4, by_chance=0.2),
        "stronger": steps([1.0] * 4),
        "random_init": steps([0.5, 0.5, 0.5, 0.0]),
    }
    line = continued_line(measured, [0, 3])
    assert line is not None
    assert line.null.tolist() == [0.5, 0.0]
    assert line.note.endswith("null: random init")


def test_problems_whose_steps_say_nothing_are_left_out():
    measured = {who: steps([1.0] * 4, first=2) for who in ("weaker", "stronger", "random_init")}
    line = continued_line(measured, [0, 1, 3])
    assert line is not None
    assert line.problems.tolist() == [3]
    assert continued_line(measured, [0, 1]) is None


def test_of_new_words_what_follows_another_prompt_may_be_the_harder_null():
    measured = {who: steps([1.0] * 4, by_chance=0.2) for who in ("weaker", "stronger")}
    measured |= {"random_init": steps([0.0] * 4), ELSEWHERE: steps([1.0, 0.5, 1.0, 1.0], first=1)}
    line = continued_line(measured, [0, 1, 2], kind="new words")
    assert line is not None
    assert line.problems.tolist() == [1, 2]  # the first one's words do not fit after another prompt
    assert line.null.tolist() == [0.5, 1.0]
    assert line.note == (
        "how probable the new words of next steps are, by their first token, the stronger's own right steps "
        "before them given: 4 new words of 2 problems; null: the same steps after another problem's prompt"
    )
