"""The driver of the benchmarks, on benchmarks of a line or two."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).parents[2] / "benchmarks" / "run_all.py"
MAIN = 'if __name__ == "__main__":\n    '


@pytest.fixture
def bench(tmp_path):
    """Writes benchmarks ({name: body}), runs the driver over them, returns (process, ratios, page)."""

    def run(**bodies):
        for name, body in bodies.items():
            (tmp_path / f"{name}.py").write_text(body)
        ratios, page = tmp_path / "out" / "bench.json", tmp_path / "out" / "performance.md"
        command = [sys.executable, DRIVER, "--folder", tmp_path, "--json", ratios, "--page", page]
        done = subprocess.run(command, capture_output=True, text=True)
        written = sorted(p.name for p in ratios.parent.glob("*"))
        if done.returncode:
            assert written == [], "nothing may be written when a benchmark failed"
            return done, None, None
        assert written == ["bench.json", "performance.md"]
        return done, json.loads(ratios.read_text()), page.read_text()

    return run


def test_ratios_are_merged_and_tables_kept(bench):
    done, ratios, page = bench(
        capture='"""Capturing activations."""\n'
        + MAIN
        + "print('a table'); print('{\"capture.bare\": 1.02}')",
        store=MAIN + 'print(\'{"store.write": 2, "store.read": 0.5}\'); print()',
        _helper=MAIN + "raise SystemExit(1)",
        library="raise SystemExit(1)",
    )
    assert done.returncode == 0, done.stderr
    assert ratios == {"capture.bare": 1.02, "store.write": 2, "store.read": 0.5}
    assert "## Capturing activations\n" in page
    assert "```text\na table\n```" in page
    assert "| `capture.bare` | 1.02 |" in page
    assert "## store\n" in page


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise SystemExit(3)", "bad.py: exit status 3"),
        ("print('done')", "bad.py: the last line is no JSON: 'done'"),
        ("pass", "bad.py: the last line is no JSON: ''"),
        ('print(\'{"x": "fast"}\')', "bad.py: the last line should be {id: number, ...}"),
        ("print('{}')", "bad.py: the last line should be {id: number, ...}"),
        ("print('{\"good.one\": 2}')", "good.py repeats ids of another benchmark: good.one"),
    ],
)
def test_one_bad_benchmark_fails_the_run_after_the_others_ran(bench, body, reason):
    done, _, _ = bench(bad=MAIN + body, good=MAIN + "print('{\"good.one\": 1}')")
    assert done.returncode == 1
    assert reason in done.stderr
    assert '{"good.one": 1}' in done.stdout


def test_an_empty_folder_is_an_error(bench):
    done, _, _ = bench()
    assert done.returncode == 1
    assert "no benchmark in" in done.stderr
