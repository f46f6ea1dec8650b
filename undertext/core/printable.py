"""Text from files and tasks as a message may hold it: on one line, short, with nothing a terminal acts on."""

from collections.abc import Mapping

LONGEST = 60
"""Characters of a text that a message shows."""


def printable(text: str, most: int | None = None) -> str:
    """`text` with every character that does not print as itself escaped, cut after `most` characters.

    Escaped are control characters (an escape sequence can rewrite a terminal's lines), line ends, marks that
    turn the direction of writing (they make a line read otherwise than it is) and halves of surrogate pairs.
    """
    cut = text if most is None or len(text) <= most else text[:most] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def shown(value: object) -> str:
    """`value` as an error message names it: on one line, and short."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return repr(value if len(value) <= LONGEST else value[:LONGEST] + "...")
        case int():
            # Python writes no number of thousands of digits; 2**200 is one of 61.
            return str(value) if abs(value) < 2**200 else "a number of more than 60 digits"
        case float():
            return str(value)
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a mapping"
    return f"a {type(value).__name__}"
