"""Wraps paragraphs of Markdown that have a line of more than 120 characters.

Usage: wrap_docs.py [--check] FILE...     with --check nothing is written, and the long lines are listed

Tables, blocks of code, headings and images are left as they are, and so are pages that a command writes and
paragraphs without a long line. No code between backticks is broken over lines.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

WIDTH = 120
WRITTEN = {
    "bench.md", "findings.md", "performance.md", "routes.md", "zoo.md", "zoo_features.md", "zoo_recovered.md",
}  # fmt: skip
"""Pages that a command writes."""
ITEM = re.compile(r"(\s*)([-*] |\d+\. )?")
UNBROKEN = re.compile(r"`[^`]*`")
"""What must stay on one line."""
SPACE = "\0"


def paragraphs(text: str) -> Iterator[tuple[list[str], bool]]:
    """Lines that belong together, and whether they are prose; joined they are the text."""
    held: list[str] = []
    fenced = False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        other = (
            fenced
            or fence
            or re.match(r"\s*([|#<]|!\[|:::|!!!|$)", line)
            or (re.match(r" {4}", line) and not held)
        )
        starts = re.match(r"\s*([-*]|\d+\.) ", line)
        if held and (other or starts):
            yield held, True
            held = []
        if other:
            yield [line], False
        else:
            held.append(line)
        fenced ^= fence
    if held:
        yield held, True


def wrapped(lines: list[str]) -> list[str]:
    """A paragraph or an item of a list in lines of at most WIDTH, or as it is where none is longer."""
    if max(map(len, lines)) <= WIDTH:
        return lines
    indent, bullet = (part or "" for part in (ITEM.match(lines[0]) or [""]).groups())  # type: ignore[union-attr]
    text = " ".join(line.strip() for line in lines)[len(bullet) :]
    text = UNBROKEN.sub(lambda code: code[0].replace(" ", SPACE), text)
    out = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent + bullet,
        subsequent_indent=indent + " " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(SPACE, " ") for line in out]


def main(args: list[str]) -> int:
    """Exit status 1 where `--check` finds a line to be wrapped."""
    check, long = args[:1] == ["--check"], []
    for path in map(Path, args[check:]):
        if path.name in WRITTEN:
            continue
        text = path.read_text(encoding="utf-8")
        blocks = [(wrapped(lines) if prose else lines, lines) for lines, prose in paragraphs(text)]
        long += [f"{path}: {old[0]}" for new, old in blocks if new != old]
        if not check:
            path.write_text("\n".join(line for new, _ in blocks for line in new) + "\n", encoding="utf-8")
    if check and long:
        print(*long, f"{len(long)} paragraphs are to be wrapped: .ci/wrap_docs.py", sep="\n", file=sys.stderr)
    return int(check and bool(long))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
