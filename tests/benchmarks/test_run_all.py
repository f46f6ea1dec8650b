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


def test_one_benchmark_alone_writes_its_section_and_leaves_the_others(tmp_path):
    page, ratios = tmp_path / "performance.md", tmp_path / "bench.json"
    first = "print('first'); print('{\"a.x\": 1}')"

    def run(*args, **bodies):
        for name, body in bodies.items():
            (tmp_path / f"{name}.py").write_text(MAIN + body)
        command = [sys.executable, DRIVER, "--folder", tmp_path, "--json", ratios, "--page", page, *args]
        return subprocess.run(command, capture_output=True, text=True)

    none = run("--only", "a.py", a=first)
    assert none.returncode == 1
    assert "run every benchmark first" in none.stderr
    assert run(c="print('third'); print('{\"c.x\": 3}')").returncode == 0
    whole, kept = page.read_text(), ratios.read_text()
    assert run("--only", "a.py", a=first.replace("first", "again")).returncode == 0
    changed = page.read_text()
    assert changed.count("## ") == 2
    assert "again" in changed
    assert "first" not in changed
    assert changed.split("## c\n")[1] == whole.split("## c\n")[1]
    # One that is not on the page yet comes where its name belongs.
    assert run("--only", "b.py", b="print('{\"b.x\": 2}')").returncode == 0
    assert [line for line in page.read_text().splitlines() if line.startswith("## ")] == [
        "## a",
        "## b",
        "## c",
    ]
    assert ratios.read_text() == kept
    wrong = run("--only", "d.py")
    assert wrong.returncode == 1
    assert "no benchmark d.py in" in wrong.stderr
