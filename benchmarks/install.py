"""install.*: how large the main install and each extra are, and how long pip takes for them.

In a fresh virtual environment: torch by its pin, as `make env` asks for it, then the wheel of this clone with
the versions of constraints.txt. After that each extra by itself: what it adds to the main install is taken
off again before the next. Seconds hold the download, from the index that pip is set to; sizes are those of
the files on disk, bytecode included.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
TOP = 10
MIB = 2**20
SIZES = """
import json, re
from importlib.metadata import distributions
canonical = lambda name: re.sub(r"[-_.]+", "-", name).lower()
found = {}
for each in distributions():
    paths = [file.locate() for file in each.files or ()]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    asked = [need for need in each.requires or () if "extra ==" not in need]
    needs = [canonical(re.match(r"[\\w.-]+", need)[0]) for need in asked]
    found[canonical(each.metadata["Name"])] = (size, needs)
print(json.dumps(found))
"""
"""Printed by the environment that is looked at: by package its bytes on disk and what it requires."""


class Package(NamedTuple):
    """One installed distribution."""

    size: int
    """Bytes on disk."""
    needs: list[str]
    """Names of what it requires."""


class Environment:
    """A fresh virtual environment in `folder`."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self.python = folder / "bin" / "python"

    def pip(self, *args: str) -> float:
        """Run pip; the seconds that it took. CalledProcessError, after what pip said, when it failed."""
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        start = perf_counter()
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *args]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        done.check_returncode()
        return perf_counter() - start

    def packages(self) -> dict[str, Package]:
        """What is installed, but for pip."""
        done = subprocess.run([self.python, "-I", "-c", SIZES], capture_output=True, text=True, check=True)
        return {name: Package(*each) for name, each in json.loads(done.stdout).items() if name != "pip"}


def row(name: str, packages: dict[str, Package], seconds: float) -> float:
    """Print a row of the table; the MiB of these packages."""
    size = sum(each.size for each in packages.values()) / MIB
    print(f"| {name} | {len(packages)} | {size:.0f} | {seconds:.0f} |", flush=True)
    return size


def largest(packages: dict[str, Package]) -> None:
    """Print the largest packages, and which packages require each."""
    print("\n| largest | MiB | required by |\n|---|---|---|")
    for name in sorted(packages, key=lambda each: -packages[each].size)[:TOP]:
        by = sorted(other for other, each in packages.items() if name in each.needs)
        print(f"| {name} | {packages[name].size / MIB:.0f} | {', '.join(by)} |")


def main() -> None:
    """Install, print the tables and the figures."""
    torch = re.search(r"^torch==.*$", CONSTRAINTS.read_text(), re.MULTILINE)
    assert torch is not None
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        env = Environment(Path(scratch) / "env")
        env.pip("wheel", "--no-deps", "--wheel-dir", scratch, str(ROOT))
        (wheel,) = Path(scratch).glob("undertext-*.whl")
        print("| install | packages | MiB | seconds |\n|---|---|---|---|")
        before = env.packages()
        seconds = env.pip("install", torch[0], "-c", str(CONSTRAINTS))
        with_torch = env.packages()
        row("torch and what it requires", added(before, with_torch), seconds)
        rest = env.pip("install", str(wheel), "-c", str(CONSTRAINTS))
        whole = env.packages()
        row("all else of the main install", added(with_torch, whole), rest)
        installed = added(before, whole)
        figures["install.main_mib"] = row("the main install", installed, seconds + rest)
        figures["install.main_seconds"] = seconds + rest
        for extra in extras:
            more = env.pip("install", f"{wheel}[{extra}]", "-c", str(CONSTRAINTS))
            new = added(whole, env.packages())
            figures[f"install.{extra}_mib"] = row(f"`{extra}`, beside it", new, more)
            if new:
                env.pip("uninstall", "--yes", *new)
        largest(installed)
    print(json.dumps({name: round(value, 1) for name, value in figures.items()}))


def added(before: dict[str, Package], after: dict[str, Package]) -> dict[str, Package]:
    """The packages that came between."""
    return {name: each for name, each in after.items() if name not in before}


if __name__ == "__main__":
    main()
