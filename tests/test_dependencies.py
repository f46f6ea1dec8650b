"""What the packages import is declared: `make demo` installs the main dependencies and no more."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ["activations", "probes", "saes", "steering", "undertext"]


def imported(file: Path) -> set[str]:
    """Top-level names of the modules that `file` imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def canonical(requirement: str) -> str:
    """`sae-lens` for "sae_lens>=6.54"."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def test_every_import_of_the_packages_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    main = {canonical(r) for r in project["dependencies"]}
    extra = {canonical(r) for r in project["optional-dependencies"]["saes"]}
    providers = packages_distributions()
    undeclared: dict[str, list[str]] = {}
    for package in PACKAGES:
        declared = main | extra if package == "saes" else main
        for file in (ROOT / package).rglob("*.py"):
            for name in imported(file) - set(sys.stdlib_module_names) - set(PACKAGES):
                if declared.isdisjoint(canonical(d) for d in providers.get(name, [name])):
                    undeclared.setdefault(name, []).append(str(file.relative_to(ROOT)))
    assert undeclared == {}
