"""Numbers in words: `forty-two`, `three hundred and five`, `minus two point five`, and 四十二."""

import re
from collections.abc import Iterator
from decimal import Decimal

from undertext.tasks.numbers import Number

_words = re.compile(r"\w+").findall
_SMALL = {
    word: value
    for value, word in enumerate(
        [
            *_words("zero one two three four five six seven eight nine ten eleven twelve"),
            *_words("thirteen fourteen fifteen sixteen seventeen eighteen nineteen"),
        ]
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety"), 2
    )
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORDS = {*_SMALL, *_TENS, *_LARGE, "hundred"}
_ONE_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_MOST_WORDS = 24
_ENGLISH = re.compile(
    rf"(?i)\b(?:(?P<sign>minus|negative)\s+)?(?P<words>(?:a\s+(?=hundred|thousand|million|billion))?"
    rf"(?:{_ONE_WORD})(?:(?:\s+and\s+|[\s-]+)(?:{_ONE_WORD})){{0,{_MOST_WORDS}}})"
    rf"(?:\s+point(?P<decimals>(?:\s+(?:{'|'.join(list(_SMALL)[:10])})){{1,12}}))?\b"
)
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"\u3007": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
_CHINESE = re.compile(rf"负?[{''.join([*_DIGITS, *_UNITS, *_MYRIADS])}]{{1,{_MOST_WORDS}}}")


def worded_numbers(text: str) -> list[Number]:
    """Every number that `text` says in English or Chinese words, in order; values as in `numbers_in`."""
    found = [number for match in _ENGLISH.finditer(text) for number in _english(match)]
    for match in _CHINESE.finditer(text):
        value = _chinese(match[0].removeprefix("负"))
        if value is not None:
            signed = -value if match[0].startswith("负") else value
            found.append(Number(match.start(), match.end(), Decimal(signed)))
    return sorted(found, key=lambda number: (number.start, -number.end))


def is_lone_one(text: str, number: Number) -> bool:
    """Whether the word is only "one" (or 一), which is more often no number: "the right one"."""
    return text[number.start : number.end].casefold() in ("one", "一")


def _english(match: re.Match[str]) -> Iterator[Number]:
    """The numbers of a run of number words: "two three" are two, "twenty-three" is one."""
    words = [
        (match.start("words") + w.start(), match.start("words") + w.end(), w[0].casefold())
        for w in re.finditer(r"[A-Za-z]+", match["words"])
    ]
    first = True
    while words:
        value, taken = _one(words)
        end = words[taken - 1][1]
        number = Number(words[0][0], end, Decimal(value))
        words = words[taken:]
        if not words and match["decimals"]:
            digits = "".join(str(_SMALL[word.casefold()]) for word in match["decimals"].split())
            number = number._replace(end=match.end(), value=Decimal(f"{value}.{digits}"))
        if first and match["sign"]:
            assert number.value is not None
            number = number._replace(start=match.start(), value=-number.value)
        first = False
        yield number


def _one(words: list[tuple[int, int, str]]) -> tuple[int, int]:
    """The first number of these words, and how many of them it takes: as many as make one number."""
    total = group = taken = 0
    room, least = 0, 10**15  # what the next small word must stay below; the last thousand, million ... said
    for i, (_, _, word) in enumerate(words):
        if word == "a":
            group, room = 1, 0
        elif word == "and":
            continue
        elif word == "hundred":
            if not 0 < group < 10 and i:
                break
            group, room = max(group, 1) * 100, 100
        elif word in _LARGE:
            if _LARGE[word] >= least or (i and not group):
                break
            least = _LARGE[word]
            total, group, room = total + max(group, 1) * least, 0, 1000
        else:
            value = _SMALL.get(word, _TENS.get(word, 0))
            if i and not value < room:
                break
            group += value
            room = 10 if word in _TENS else 0
        taken = i + 1
    return total + group, max(taken, 1)


def _chinese(text: str) -> int | None:
    if all(character in _DIGITS for character in text):  # said digit by digit, as years are
        return int("".join(str(_DIGITS[character]) for character in text))
    total = section = digit = 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _UNITS:
            section, digit = section + (digit or 1) * _UNITS[character], 0
        else:
            if not section + digit + total:
                return None
            if _MYRIADS[character] == 10**8:
                total, section, digit = (total + section + digit) * 10**8, 0, 0
            else:
                total, section, digit = total + (section + digit) * 10**4, 0, 0
    return total + section + digit
