"""Worked solutions as GSM8K and MATH write them: steps, values that a calculator worked out, the answer."""

import re
from typing import Any, Literal, NamedTuple

from undertext.core.printable import shown
from undertext.tasks.grade import Grader
from undertext.tasks.numbers import parse_number
from undertext.tasks.value_positions import saying

Marks = Literal["drop", "keep"]
NUMBER_GRADER = Grader(kind="number")
MATH_GRADER = Grader(kind="math")
_MARK = re.compile(r"<<([^<>\n]*)=([^<>=\n]*)>>")
_FINAL = re.compile(r"(?:^|\n)[^\S\n]*####[^\S\n]*([^\n]+?)\s*$")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|([^\s{}$\\]))")
_MATH_MODE = re.compile(r"\\[\\$]|\$\$?|\\[\[\]()]|\\(?:begin|end)\{|\[/?asy\]")
_SENTENCE = re.compile(r"\s*\n\s*|(?<=[.!?])\s+(?=[A-Z$\\(])")
_OPENS = {r"\[": 1, r"\]": -1, r"\(": 1, r"\)": -1, r"\begin{": 1, r"\end{": -1, "[asy]": 1, "[/asy]": -1}


class Solution(NamedTuple):
    """A worked solution, as fields of a problem."""

    answer: str
    trace: str
    steps: list[dict[str, Any]]
    """Each with its `text` and `values`."""
    unread: int = 0
    """Values that are left out, since their step does not say them, or may copy them from itself."""

    @property
    def fields(self) -> dict[str, Any]:
        """As fields of a `Problem`."""
        return {"answer": self.answer, "trace": self.trace, "steps": self.steps}


def gsm8k_solution(text: str, marks: Marks = "drop") -> Solution:
    """A solution with a step a line, calculator marks (`<<48/2=24>>24`) and `#### 72` last.

    The values `step1`, `step2`, ... are what the calculator worked out, in order. `marks` says whether the
    marks stay in the trace. ValueError where the last line gives no number.
    """
    final = _FINAL.search(text)
    answer = "" if final is None else final[1].lstrip("$").removesuffix(".").strip()
    if final is None or parse_number(answer) is None:
        got = "none" if final is None else shown(final[1])
        raise ValueError(f"expected a last line with the answer, such as '#### 72', got {got}")
    steps: list[dict[str, Any]] = []
    count = unread = 0
    for line in filter(None, map(str.strip, text[: final.start()].splitlines())):
        written = line if marks == "keep" else _MARK.sub("", line)
        values: dict[str, int | float] = {}
        for mark in _MARK.finditer(line):
            count += 1
            value = _value(mark[2])
            said = None if value is None else saying(written, value)
            if value is None or said is None or said.again:
                unread += 1
            else:
                values[f"step{count}"] = value
        if written.strip():
            steps.append({"text": written.strip(), "values": values})
    trace = "\n".join([step["text"] for step in steps] + [f"#### {answer}"])
    return Solution(answer, trace, steps, unread)


def math_solution(text: str) -> Solution:
    """A solution in LaTeX whose answer is in its last box; a step a sentence or line, formulas kept whole.

    ValueError where no box is closed.
    """
    answer = last_boxed(text)
    if answer is None:
        raise ValueError(r"expected a solution with its answer in \boxed{...}, got none")
    return Solution(answer, text.strip(), [{"text": part} for part in sentences(text.strip())])


def last_boxed(text: str) -> str | None:
    r"""What the last `\boxed{...}` (or `\boxed 7`, or `\fbox{...}`) holds; None without one."""
    for opening in reversed(list(_BOXED.finditer(text))):
        if opening[1]:
            return opening[1]
        depth, at = 1, opening.end()
        while at < len(text) and depth:
            skip = 2 if text[at] == "\\" else 1
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += skip
        if not depth and (found := text[opening.end() : at - 1].strip()):
            return found
    return None


def sentences(text: str) -> list[str]:
    """A text's lines and sentences, in order; none ends within a formula or a figure."""
    parts, start = [], 0
    marks, depth, dollars = list(_MATH_MODE.finditer(text)), 0, False
    at = 0
    for end in _SENTENCE.finditer(text):
        while at < len(marks) and marks[at].start() < end.start():
            mark = marks[at][0]
            dollars ^= mark in ("$", "$$")
            depth = max(0, depth + _OPENS.get(mark, 0))
            at += 1
        if not depth and not dollars:
            parts.append(text[start : end.start()])
            start = end.end()
    return [part for part in map(str.strip, [*parts, text[start:]]) if part]


def _value(text: str) -> int | float | None:
    number = parse_number(text.replace("$", "").replace("%", ""))
    if number is None or len(text) > 30:
        return None
    return int(number) if number == int(number) else float(number)
