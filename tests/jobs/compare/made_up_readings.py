"""Made-up readings of values, by how often each source reads them right."""

import torch

from undertext.measures.decoding.readings import Readings
from undertext.tasks.value_tokens import ValueTokens


def made_up(accuracies: dict[str, dict[str, float]], n: int = 100) -> Readings:
    """Readings of values at one layer with these accuracies, by value and source, on dev and test alike."""
    rows = [[i, name] for i in range(n) for name in accuracies]
    sites = ValueTokens(
        [[1]] * n,
        torch.tensor([i for i, _ in rows]),
        [0] * len(rows),
        [str(name) for _, name in rows],
        ["x"] * len(rows),
    )
    out = Readings({"dev": sites, "test": sites}, {name: ["x", "y"] for name in accuracies})
    for name, by_source in accuracies.items():
        for source, accuracy in by_source.items():
            out.chosen[name, source] = 0
            for split in ("dev", "test"):
                out.right.setdefault((name, split), {})[source] = (torch.arange(n) < accuracy * n)[None]
    return out


SOURCES = {
    "weaker": 0.6,
    "stronger": 0.9,
    "transported": 0.4,
    "control": 0.1,
    "surface": 0.2,
    "window": 0.15,
    "random_init": 0.3,
}
