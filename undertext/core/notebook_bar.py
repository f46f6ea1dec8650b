"""A bar in a notebook, of plain HTML: one output for a whole job, which shows the stage at hand.

Not tqdm's, which needs ipywidgets and says so where there are none.
"""

import sys
from html import escape
from time import perf_counter
from typing import Any

AT_MOST_EVERY = 0.25
"""Seconds between two drawings."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class NotebookBar:
    """One output, drawn again and again."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn = 0.0

    def show(self, said: str, share: float | None, *, last: bool = False) -> None:
        """What is said of a stage and how far it is; None where that is not known. What comes within a moment
        of the last drawing is left out, unless it is the `last` of its stage."""
        now = perf_counter()
        if not last and self._handle is not None and now - self._drawn < AT_MOST_EVERY:
            return
        self._drawn = now
        value = "" if share is None else f' value="{share:.3f}"'
        # Beside the HTML, for what shows none.
        data = {
            "text/html": f'<progress max="1"{value}></progress> <span>{escape(said)}</span>',
            "text/plain": said,
        }
        if self._handle is None:
            from IPython.display import display

            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)
