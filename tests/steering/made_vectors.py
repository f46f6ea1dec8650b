"""The fields of steering vectors of all kinds, for property tests."""

from typing import Any

import torch
from hypothesis import strategies as st

from undertext.activations import SITES

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@st.composite
def fields_of_vectors(draw: st.DrawFn, /, **fixed: Any) -> dict[str, Any]:
    """Some with layers that have no direction, some with a centre."""
    layers, width = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    directions = torch.randn(layers, width, generator=generator) * 10 ** draw(st.integers(-3, 3))
    absent = frozenset(draw(st.sets(st.integers(0, layers - 1), max_size=layers - 1)))
    directions[sorted(absent)] = 0
    given: dict[str, Any] = {
        "name": draw(WORDS),
        "directions": directions,
        "norms": torch.rand(layers, generator=generator) * 9,
        "made": draw(WORDS),
        "trained": draw(st.sampled_from([True, False, None])),
        "sources": tuple(draw(st.lists(WORDS, max_size=3))),
        "site": draw(st.sampled_from(SITES)),
        "absent": absent,
        "centre": torch.randn(layers, width, generator=generator) if draw(st.booleans()) else None,
    }
    return {**given, **fixed}
