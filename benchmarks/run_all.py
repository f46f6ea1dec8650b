"""Runs every benchmark, each in a process of its own, and gathers what they found.

A benchmark is a file beside this one that can be run (`if __name__ == "__main__"`) and whose name does not
start with `_`. It prints what a reader should see and, as its last line, one JSON object {"id": ratio, ...}.
The objects are merged into build/bench.json; what was printed goes into docs/performance.md. Both are written
only when every benchmark succeeded. With `--only NAME.py` one benchmark is run, and its section of the page
written anew.
"""

import argparse
import ast
import json
import os
import platform
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Result(NamedTuple):
    """What one benchmark found."""

    title: str
    """First line of the file's docstring, or its name."""
    printed: str
    """Everything it printed but the last line."""
    ratios: dict[str, float]
    """The last line."""


def find_benchmarks(folder: Path) -> list[Path]:
    """The benchmarks in `folder`, in alphabetical order."""
    here = Path(__file__).resolve()
    files = [p for p in sorted(folder.glob("*.py")) if not p.name.startswith("_") and p.resolve() != here]
    return [p for p in files if "__main__" in p.read_text()]


def parse_ratios(line: str) -> dict[str, float]:
    """The JSON object of a benchmark's last line. Raises ValueError when it is not {"id": number, ...}."""
    try:
        ratios = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"the last line is no JSON: {line[:80]!r}") from error
    numbers = isinstance(ratios, dict) and all(type(v) in (int, float) for v in ratios.values())
    if not numbers or not ratios:
        raise ValueError(f"the last line should be {{id: number, ...}}: {line[:80]!r}")
    return ratios


def run_benchmark(file: Path) -> Result:
    """Runs `file`, showing its output as it comes.

    Raises ValueError when it fails or does not end in a JSON object.
    """
    lines = []
    command = [sys.executable, "-u", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode != 0:
        raise ValueError(f"exit status {process.returncode}")
    while lines and not lines[-1]:
        lines.pop()
    ratios = parse_ratios(lines.pop() if lines else "")
    docstring = ast.get_docstring(ast.parse(file.read_text())) or file.stem
    return Result(docstring.splitlines()[0].rstrip("."), "\n".join(lines).strip("\n"), ratios)


def merge(results: dict[str, Result]) -> dict[str, float]:
    """All ratios in one object. Raises ValueError when two benchmarks use one id."""
    merged: dict[str, float] = {}
    for name, result in results.items():
        if twice := sorted(merged.keys() & result.ratios.keys()):
            raise ValueError(f"{name} repeats ids of another benchmark: {', '.join(twice)}")
        merged |= result.ratios
    return merged


def section(name: str, result: Result, when: str = "") -> str:
    """What the page says of one benchmark, `when` being when it was run, where that is not said above."""
    parts = [f"## {result.title}", f"`benchmarks/{name}`{when}"]
    if result.printed:
        parts.append(f"```text\n{result.printed}\n```")
    rows = "\n".join(f"| `{id}` | {ratio:.4g} |" for id, ratio in result.ratios.items())
    parts.append(f"| id | ratio |\n|---|---|\n{rows}")
    return "\n\n".join(parts) + "\n"


def when_run() -> str:
    """Day, machine and versions."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    versions = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{date.today().isoformat()} ({machine}; {versions})"


def page(results: dict[str, Result]) -> str:
    """The documentation page with every table, as Markdown."""
    head = f"# Performance\n\nWritten by `make bench` on {when_run()}.\n\n"
    ratios = "Ratios are measured in one process, peer and ours alternating.\n\n"
    return head + ratios + "\n".join(section(name, result) for name, result in results.items())


def with_sections(page: str, results: dict[str, Result]) -> str:
    """The page with these benchmarks' sections new, or added, in the order of their names."""
    head, *old = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    held = {
        named[1]: text for text in old if (named := re.search(r"^`benchmarks/([^`]+)`", text, re.MULTILINE))
    }
    new = {name: section(name, result, f", run alone on {when_run()}") for name, result in results.items()}
    sections = dict(sorted({**held, **new}.items()))
    return head + "\n".join(text.rstrip() + "\n" for text in sections.values())


def write_whole(path: Path, text: str) -> None:
    """Writes `path` so that it is never half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def main() -> int:
    """Exit status 0 when every benchmark ran and both files were written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=ROOT / "benchmarks", help="where the benchmarks are")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "bench.json", help="file for the ratios"
    )
    parser.add_argument(
        "--page", type=Path, default=ROOT / "docs" / "performance.md", help="file for the tables"
    )
    parser.add_argument("--only", metavar="NAME.py", help="the one benchmark to run")
    args = parser.parse_args()

    files = [file for file in find_benchmarks(args.folder) if args.only in (None, file.name)]
    results: dict[str, Result] = {}
    named = f" {args.only}" if args.only else ""
    failed = [] if files else [f"no benchmark{named} in {args.folder}"]
    if args.only and not args.page.is_file():
        failed.append(f"no page {args.page} to write a section of: run every benchmark first")
        files = []
    for file in files:
        print(f"== {file.name}", flush=True)
        try:
            results[file.name] = run_benchmark(file)
        except ValueError as error:
            failed.append(f"{file.name}: {error}")
    merged: dict[str, float] = {}
    try:
        merged = merge(results)
    except ValueError as error:
        failed.append(str(error))
    if failed:
        print(*failed, sep="\n", file=sys.stderr)
        return 1
    if args.only:
        write_whole(args.page, with_sections(args.page.read_text(), results))
        print(f"the section of {args.only} in {args.page}")
        return 0
    write_whole(args.json, json.dumps(merged, indent=1) + "\n")
    write_whole(args.page, page(results))
    print(f"{len(merged)} ratios in {args.json}, tables in {args.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
