"""The one exception that means "the user can mend this", and how text from outside is shown in it.

Of an extra that is missing a message says how it is installed.
"""


class UserError(ValueError):
    """A mistake a user can mend; the message is one line: what was wanted, what came, what is valid.

    Whatever text got into the message, a terminal prints it: control characters stand in it as escapes. (A
    line break stays. Text from a file that may hold one goes through `shown`.)
    """

    def __init__(self, *args: object) -> None:
        """Take the message, or what a subclass is made of."""
        super().__init__(*(escaped(each, "\n") if isinstance(each, str) else each for each in args))


def shown(text: object, most: int = 300) -> str:
    """Text from a file, a model or a user as a message shows it: one line, no control characters, cut."""
    line = escaped(str(text))
    return line if len(line) <= most else f"{line[:most]} ..."


def escaped(text: str, kept: str = "") -> str:
    """`text` with what cannot be printed as escapes (controls, overrides of direction, lone surrogates)."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def install(extra: str) -> str:
    """How an extra is installed: the package is on no index yet, so that pip must be given the clone."""
    return f"pip install -e '.[{extra}]' in the clone of undertext"
