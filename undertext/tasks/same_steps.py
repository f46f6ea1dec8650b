"""What a problem says of its own steps, found for steps that somebody else wrote."""

from collections.abc import Callable, Sequence

from undertext.tasks.task import Problem, Step


def one_spaced(text: str) -> str:
    """The text with single spaces for all white space, and none at its ends: texts that differ in nothing
    else are taken for the same."""
    return " ".join(text.split())


def as_own(problem: Problem, texts: Sequence[str], mark: Callable[[Step], bool | None]) -> list[bool | None]:
    """For each text the `mark` of those of the problem's steps that say the same, white space aside.

    None for texts that the problem does not have as a step, and for those that it has under several marks.
    """
    known: dict[str, bool | None] = {}
    for step in problem.steps:
        text, own = one_spaced(step.text), mark(step)
        known[text] = own if known.get(text, own) == own else None
    return [known.get(one_spaced(text)) for text in texts]
