"""Traces of words alone, no value and no number in them: shipped truths, and what the line says of each."""

import pytest

from tests.in_words import worded_organism, worded_task
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.job import compare
from undertext.tasks.builtin.chain import new_chain

PAIRS = (
    ("base", "elicited", "latent"),
    ("base", "suppressed", "latent"),
    ("novice", "taught", "absent"),
    ("base", "overwritten", "absent"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("base", "tuned", "says"), PAIRS)
def test_a_task_that_only_has_traces_in_words_is_judged(base, tuned, says, tmp_path):
    """`taught` and `overwritten` rest on `continued`, for want of values that probes could read."""
    task = worded_task(new_chain(0, ood=0))
    one, other = (worded_organism(name, tmp_path) for name in (base, tuned))
    config = CompareConfig(splits=("test",), trace_problems=0)
    found = compare(one, other, task, config=config, progress=False)
    result = found.splits["test"]
    assert result.verdict == tuned
    lines = {line.name: line for line in result.evidence}
    assert lines["continued"].says == says
    assert "new words of next steps" in lines["continued"].note
    assert not {"decodable", "transported", "used", "stated"} & lines.keys()
