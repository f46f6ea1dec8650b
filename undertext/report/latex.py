"""LaTeX tables."""

from collections.abc import Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "\u2212": "$-$", "\u2013": "--", "\u221e": r"$\infty$",
    "\u00a0": "~",
}  # fmt: skip
"""What LaTeX would take for more than itself, or has no letter for."""


def escaped(text: str) -> str:
    """`text` as LaTeX sets it, on one line."""
    return "".join(_SPECIAL.get(c, c) for c in " ".join(text.splitlines()))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A `table` with the rules of the package booktabs; every row as long as the head."""
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in (head, *rows)]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            rf"\begin{{tabular}}{{{'l' * len(head)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
