"""The examples in docs/probes.md run as they stand, one after the other, on a smaller task."""

import re
from pathlib import Path
from typing import Any

import pytest

from undertext import new_chain
from undertext.jobs.trace.job import TRACE

PAGE = (Path(__file__).parents[2] / "docs" / "probes.md").read_text()
FIRST, CARRIED, ALONG = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# What is long in the first: eight positions' worth of controls, and the whole task.
SHORT = ("ProbeConfig(threads=1)", 'ProbeConfig(threads=1, positions=(0,), controls=(), transfer=("layer",))')


def test_the_examples(monkeypatch: pytest.MonkeyPatch):
    from undertext import sources

    small = new_chain(0, train=60, dev=30, test=30, ood=5)
    monkeypatch.setattr(sources, "resolve_task", lambda _: small)
    seen: dict[str, Any] = {}
    assert FIRST.count(SHORT[0]) == 1
    exec(FIRST.replace(*SHORT), seen)
    exec(CARRIED.replace("\nlayers.pivot_table", "\nmatrix = layers.pivot_table"), seen)
    assert seen["matrix"].shape == (4, 4)
    exec(ALONG, seen)
    assert len(seen["traced"].readings) == 3


def test_every_column_of_a_trace_is_documented():
    text = PAGE.split("## Along a trace")[1]
    assert all(name in text for name in TRACE.names)
