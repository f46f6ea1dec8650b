"""Checks that each notebook says the same in its text form (`.py`) as in its `.ipynb`.

Usage: check_notebooks.py FOLDER
"""

import sys
from pathlib import Path

import jupytext


def cells(path: Path) -> list[tuple[str, str]]:
    """Kind and source of each cell; outputs, ids and metadata may differ between the two forms."""
    return [(cell.cell_type, cell.source.strip()) for cell in jupytext.read(path).cells]


def problems(folder: Path) -> list[str]:
    """One line for each notebook in `folder` that lacks one of its forms or whose forms differ."""
    found = []
    for stem in sorted({p.with_suffix("") for p in folder.glob("*") if p.suffix in {".py", ".ipynb"}}):
        text, notebook = stem.with_suffix(".py"), stem.with_suffix(".ipynb")
        missing = [p for p in (text, notebook) if not p.exists()]
        if missing:
            found.append(f"{missing[0]} is missing: make it with `jupytext --sync` from its other form")
        elif cells(text) != cells(notebook):
            found.append(f"{notebook} differs from {text}: run `jupytext --sync {text}`")
    return found


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(bool(found))
