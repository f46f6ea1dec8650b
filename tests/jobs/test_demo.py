"""The demo on a zoo of two pairs of the shipped one: one that a vector opens, and one without a gap."""

import json
import os

import pytest

from undertext.__main__ import main
from undertext.core.shipped import organisms


@pytest.mark.slow
def test_the_demo_judges_a_zoo_and_draws_what_a_vector_opens(tmp_path, capsys):
    zoo, out = tmp_path / "zoo", tmp_path / "out"
    zoo.mkdir()
    for name in ("base", "elicited", "preserved"):
        os.symlink(organisms()[name], zoo / name)
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--zoo", str(zoo), "--out", str(out)])
    said = capsys.readouterr().out
    assert not ended.value.code, said
    assert "4 of 4 verdicts are the true ones" in said
    assert "recovered gap: how much of the stronger checkpoint's lead" in said
    summary = json.loads((out / "summary.json").read_text())
    assert {(row["pair"], row["verdict"]) for row in summary} == {
        ("elicited", "elicited"),
        ("preserved", "preserved"),
    }
    assert set(summary[0]) == {"pair", "split", "truth", "verdict", "confidence"}
    drawn = (out / "figures" / "opened.svg").read_text()
    assert "<svg" in drawn
    assert (out / "elicited" / "report.html").is_file()
