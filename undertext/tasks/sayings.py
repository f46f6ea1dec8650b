"""Where a text says a value: a number as a number, however it is written; all else as whole words."""

from typing import NamedTuple

from undertext.tasks.numbers import Number, numbers_in, parse_number
from undertext.tasks.spans import whole_words

_CALCULATOR = ">>"
"""What stands between a result and its copy in `<<48/2=24>>24`, as the traces of GSM8K have it."""


class Saying(NamedTuple):
    """Where a text says a value, `text[start:end]`, and whether it may have said it earlier as well."""

    start: int
    end: int
    again: bool


def saying(text: str, value: str | int | float) -> Saying | None:
    """The last place where `text` says `value`, or None where it says it nowhere.

    A number that a letter touches (`12cm`, `3x`) counts where it stands free nowhere. What copies the result
    of a calculator (`<<48/2=24>>24`) is passed over: the calculator has said it.
    """
    wanted = parse_number(str(value))
    if wanted is None:
        places = whole_words(text, str(value))
        said = whole_words(text, str(value), any_case=True)
    else:
        numbers = [n for n in numbers_in(text) if n.value == wanted and n.stated and not n.named]
        free = [number for number in numbers if not number.glued]
        places, said = _spans(free or numbers), _spans(numbers)
    if not places:
        return None
    start, end = places[-1]
    for earlier, over in reversed(places[:-1]):
        if text[over:start] != _CALCULATOR:
            break
        start, end = earlier, over
    return Saying(start, end, any(place[0] < start for place in said))


def _spans(numbers: list[Number]) -> list[tuple[int, int]]:
    return sorted({(number.start, number.end) for number in numbers})
