"""What control labels hang on: enough of the text that a probe cannot learn it by heart, and that recurs."""

from collections.abc import Mapping, Sequence

from jaxtyping import Int
from torch import Tensor

from undertext.core.terms import CHOOSE, FIT
from undertext.probes import control_draws

Windows = Mapping[str, Sequence[Sequence[int]]]
"""By split: each row's text up to and with where it is read, as tokens."""
Key = tuple[int, ...]

SEEN = 0.9
"""Least share of the texts of dev whose keys train has shown too."""
KEYS_PER_CLASS = 5
"""Fewest keys a class. With few, a probe that knows nothing of the task reads control labels without a
mistake (all of them, where every text ends alike), and no reading could beat that."""


def control_keys(windows: Windows, classes: int) -> dict[str, list[Key]]:
    """Each row's key: the last tokens of the text it is read from.

    Hewitt and Liang's word types (arXiv 1909.03368) are many, and most words that are read are of types that
    were fitted. So as many tokens are taken as leave `SEEN` of dev's keys among train's: with fewer, keys are
    few and learnt by heart; with more, they are new ones, on which every control reads chance. Where that
    gives less than `KEYS_PER_CLASS` keys a class, as many tokens as give those. No label is looked at.
    """
    fitted, held = windows[FIT], windows[CHOOSE]
    longest = max(len(window) for window in fitted)
    enough = (n for n in range(1, longest) if len(_keys(fitted, n)) >= KEYS_PER_CLASS * classes)
    size = next(enough, longest)
    while size < longest and _seen(held, fitted, size + 1) >= SEEN:
        size += 1
    return {split: [_key(window, size) for window in each] for split, each in windows.items()}


def _seen(held: Sequence[Sequence[int]], fitted: Sequence[Sequence[int]], size: int) -> float:
    known = _keys(fitted, size)
    return sum(_key(window, size) in known for window in held) / len(held)


def _keys(windows: Sequence[Sequence[int]], size: int) -> set[Key]:
    return {_key(window, size) for window in windows}


def _key(window: Sequence[int], size: int) -> Key:
    return tuple(window[-size:])


def control_targets(
    windows: Windows, y: Int[Tensor, " n"], classes: int, *, seeds: Sequence[int]
) -> list[dict[str, Tensor]]:
    """Control labels of every split's rows, a draw for each seed; `y` are train's labels.

    One draw for all splits together, so that a key has the same label wherever it stands.
    """
    keys = control_keys(windows, classes)
    others = [split for split in keys if split != FIT]
    drawn, read = control_draws(y, keys[FIT], [key for split in others for key in keys[split]], seeds=seeds)
    parts = read[:, 0].split([len(keys[split]) for split in others])
    return [
        {FIT: drawn[:, 0, i], **{split: part[:, i] for split, part in zip(others, parts, strict=True)}}
        for i in range(len(seeds))
    ]
