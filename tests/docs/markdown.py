"""What a page of documentation holds, read back."""

import re

Row = dict[str, str]


def tables(page: str) -> list[list[Row]]:
    """The rows of every table, each cell by its column."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            for line in block.splitlines()
        ]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def numbers(cell: str) -> list[float]:
    """The numbers in a cell: a figure, and its interval where it has one."""
    return [float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", cell.replace("\u2212", "-"))]
