"""Which module imports which, read off the source; imports inside functions count, those for types do not."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
GROUND_AND_WINGS = ("activations", "probes", "saes", "steering")
CODE = (*GROUND_AND_WINGS, "undertext", "docs", "tests", "benchmarks", "notebooks")
"""Folders at the root that hold Python."""


def module_files() -> dict[str, Path]:
    """Every module of the project by the name it is imported by; a package by the name of its folder."""
    files = {}
    for folder in CODE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(("undertext", *parts) if folder in GROUND_AND_WINGS else parts)
            files[name.removesuffix(".__init__")] = file
    return files


@cache
def statements(file: Path) -> tuple[ast.stmt, ...]:
    """Every import statement in `file` that is ever run."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    unrun = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for part in ast.walk(node)
    }
    imports = (ast.Import, ast.ImportFrom)
    return tuple(n for n in ast.walk(tree) if isinstance(n, imports) and id(n) not in unrun)


def imported_names(file: Path) -> Iterator[str]:
    """Dotted names that `file` imports: `a.b` for `import a.b`, `a.b` and `a.b.c` for `from a.b import c`."""
    for node in statements(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph() -> dict[str, set[str]]:
    """For every module of the project, those of the project that it imports.

    `from a import b` counts as an import of the module `a.b` where that is one, and of `a` where it is not.
    """
    files = module_files()
    graph: dict[str, set[str]] = {}
    for name, file in files.items():
        graph[name] = set()
        for node in statements(file):
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= {full if full in files else node.module for full in whole}
        graph[name] &= files.keys()
    return graph
