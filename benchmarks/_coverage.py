"""How often intervals hold the truth, and p values err: `python -m benchmarks._coverage`.

Not run by `make bench`: it takes some minutes. Every interval that a report shows is made of data whose truth
is known, over and over, and counted where it holds the truth. Writes docs/coverage.md.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.keyed_answers import N, made
from undertext.core.over_seeds import over_seeds
from undertext.core.publish import publish
from undertext.core.statistics import (
    Estimate,
    bootstrap,
    exact_share,
    holm,
    only,
    paired_difference,
    positive_p,
    proportion,
    ratio_intervals,
    share,
    unpaired_difference,
)
from undertext.jobs.compare.latent import opened
from undertext.report.markdown import table

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
DRAWS, RESAMPLED = 2000, 500
"""Draws for a truth; fewer where each takes longer."""
LOW, HIGH = 0.93, 0.97
"""What an interval of 95% should hold the truth in."""
LINES, KEYS = 8, 20
ALPHA = 0.05

Rng = np.random.Generator


class Kind(NamedTuple):
    """An interval, and data of which it is made."""

    name: str
    problems: str
    """How many problems, and in how many groups."""
    truths: Sequence[float]
    made: Callable[[Rng, float, int], Estimate]
    """The interval from fresh data, given the truth and the number of the draw."""
    draws: int = DRAWS


def grouped(rng: Rng, p: float, groups: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers that are right with the chance p, alike within their group (intraclass correlation 0.3)."""
    spread = 1 / 0.3 - 1
    own = rng.beta(p * spread, (1 - p) * spread, groups).repeat(size)
    return rng.random(groups * size) < own, np.arange(groups).repeat(size)


def _share_of(n: int) -> Callable[[Rng, float, int], Estimate]:
    return lambda rng, p, _: proportion(rng.random(n) < p)


def _share_of_groups(groups: int) -> Callable[[Rng, float, int], Estimate]:
    def made(rng: Rng, p: float, _: int) -> Estimate:
        right, clusters = grouped(rng, p, groups, 6)
        return proportion(right, clusters=clusters)

    return made


def _exact(n: int) -> Callable[[Rng, float, int], Estimate]:
    return lambda rng, p, _: exact_share(int(rng.binomial(n, p)), n)


def _difference(n: int) -> Callable[[Rng, float, int], Estimate]:
    """A fifth of the problems is lost, and as many more are gained as the truth says."""

    def made(rng: Rng, gain: float, _: int) -> Estimate:
        changed = rng.choice([-1.0, 1.0, 0.0], n, p=[0.2, 0.2 + gain, 0.6 - gain])
        return paired_difference(np.zeros(n), changed)

    return made


def _difference_of_groups(groups: int) -> Callable[[Rng, float, int], Estimate]:
    def made(rng: Rng, gain: float, _: int) -> Estimate:
        after, clusters = grouped(rng, 0.4 + gain, groups, 6)
        return paired_difference(rng.random(len(after)) < 0.4, after, clusters=clusters)

    return made


def _unpaired(n: int, m: int) -> Callable[[Rng, float, int], Estimate]:
    return lambda rng, gain, _: unpaired_difference(
        proportion(rng.random(n) < 0.4), proportion(rng.random(m) < 0.4 + gain)
    )


def _line(n: int, groups: int = 0) -> Callable[[Rng, float, int], Estimate]:
    """The share of a line: the stronger is right on 0.9, the null on 0.2 of the problems."""

    def made(rng: Rng, latent: float, i: int) -> Estimate:
        p, clusters = 0.2 + latent * 0.7, None
        low, high = rng.random(n) < p, rng.random(n) < 0.9
        if groups:
            low, clusters = grouped(rng, p, groups, n // groups)
            high = grouped(rng, 0.9, groups, n // groups)[0]
        found = ratio_intervals(low - 0.2, high - 0.2, np.ones((1, n)), clusters=clusters)
        return found.estimate(n, 0.95)

    return made


def _mean(n: int) -> Callable[[Rng, float, int], Estimate]:
    return lambda rng, truth, i: bootstrap(only, rng.beta(truth * 4, (1 - truth) * 4, (n, 1)), seed=i)


def _recovered(n: int) -> Callable[[Rng, float, int], Estimate]:
    """A vector that opens a share of the gap between 0.2 and 0.9."""

    def made(rng: Rng, latent: float, i: int) -> Estimate:
        weak, strong = rng.random(n) < 0.2, rng.random(n) < 0.9
        steered = np.where(rng.random(n) < latent, strong, weak)
        return bootstrap(share, np.stack([steered, strong, weak], -1).astype(float), seed=i)

    return made


def _models(count: int) -> Callable[[Rng, float, int], Estimate]:
    """Trained models whose own means differ by 0.2, with 20 problems each."""
    return lambda rng, truth, i: over_seeds(
        only, [rng.normal(truth + rng.normal(0, 0.2), 0.4, (20, 1)) for _ in range(count)], seed=i
    )


def _opened(rng: Rng, latent: float, i: int) -> Estimate:
    """Four keys open this share of a gap of 200 problems, and guess at the others among seven answers."""
    task, samples, keyed, greedy = made(latent, i)
    return opened(samples, 1, keyed, greedy, task, "test", list(range(N)), 0.95).latent


SHARES, GAINS, LATENT = (0.1, 0.3, 0.5, 0.7, 0.9), (0.0, 0.1, 0.3), (0.0, 0.5, 1.0)
KINDS = (
    *(Kind("share (Wilson)", f"{n}", SHARES, _share_of(n)) for n in (20, 60, 200)),
    *(
        Kind("share, groups (Wilson)", f"{6 * k} in {k} groups", SHARES,
             _share_of_groups(k))
        for k in (2, 4, 10, 40)
    ),
    *(Kind("share (Clopper and Pearson)", f"{n}", SHARES, _exact(n)) for n in (20, 60, 200)),
    *(Kind("paired difference", f"{n}", GAINS, _difference(n)) for n in (20, 60, 200)),
    *(
        Kind("paired difference, groups", f"{6 * k} in {k} groups", GAINS, _difference_of_groups(k))
        for k in (10, 40)
    ),
    *(Kind("unpaired difference (Newcombe)", f"{n} and {m}", GAINS, _unpaired(n, m))
      for n, m in ((20, 60), (100, 100))),
    *(Kind("share of a line (Fieller)", f"{n}", LATENT, _line(n)) for n in (20, 60, 200)),
    Kind("share of a line, groups", "240 in 40 groups", LATENT, _line(240, 40)),
    Kind("share latent (Horvitz, Thompson)", "200", (0.3, 0.7), _opened, RESAMPLED),
    *(Kind("skewed mean (bootstrap)", f"{n}", (0.1, 0.25, 0.5), _mean(n), RESAMPLED)
      for n in (20, 60, 200)),
    *(Kind("recovered gap (bootstrap)", f"{n}", (0.25, 0.5, 0.75), _recovered(n), RESAMPLED)
      for n in (20, 60, 200)),
    *(Kind("over models (bootstrap)", f"{k} models of 20", (0.3,), _models(k), RESAMPLED)
      for k in (3, 8)),
)  # fmt: skip


class Covered(NamedTuple):
    """In what share of draws an interval held the truth: of all truths, and of the worst and best of them."""

    kind: Kind
    mean: float
    least: float
    most: float

    @property
    def holds(self) -> str:
        """Whether that is what an interval of 95% should."""
        if self.mean < LOW:
            return "too sure"
        return "yes" if self.mean <= HIGH else "too careful"


def coverage(kind: Kind, draws: int) -> Covered:
    """Of so many draws at each truth."""
    shares = []
    for number, truth in enumerate(kind.truths):
        rng = np.random.default_rng(number)
        found = [kind.made(rng, truth, i) for i in range(draws)]
        shares.append(float(np.mean([each.low <= truth <= each.high for each in found])))
    return Covered(kind, float(np.mean(shares)), min(shares), max(shares))


def errors(draws: int) -> Iterator[tuple[str, float]]:
    """How often a p of at most `ALPHA` comes out where there is nothing to be found."""

    def p_of(right: np.ndarray) -> float:
        return float(positive_p(right - 0.2, np.ones((1, len(right))))[0])

    rng = np.random.default_rng(0)
    for n in (20, 60, 200):
        p = [p_of(rng.random(n) < 0.2) for _ in range(draws)]
        yield f"one line on {n} problems", float(np.mean(np.array(p) <= ALPHA))
    lines = np.array([[p_of(rng.random(60) < 0.2) for _ in range(LINES)] for _ in range(draws)])
    yield f"any of {LINES} lines, not corrected", float((lines.min(-1) <= ALPHA).mean())
    yield f"any of {LINES} lines, corrected (Holm)", float((holm(lines).min(-1) <= ALPHA).mean())
    dev, split = (rng.random((draws, KEYS, n)) < 0.2 for n in (60, 200))
    chosen = dev.mean(-1).argmax(-1)
    p = [p_of(own[key]) for own, key in zip(split, chosen, strict=True)]
    yield f"the best of {KEYS} keys on dev, on the split", float(np.mean(np.array(p) <= ALPHA))
    p = [p_of(own[own.mean(-1).argmax()]) for own in split]
    yield f"the best of {KEYS} keys on the split itself", float(np.mean(np.array(p) <= ALPHA))


def page(found: Sequence[Covered], wrong: Sequence[tuple[str, float]]) -> str:
    """The tables as a page of the documentation."""
    rows = [
        [
            each.kind.name,
            each.kind.problems,
            f"{each.mean:.3f}",
            each.holds,
            f"{each.least:.3f} to {each.most:.3f}",
        ]
        for each in found
    ]
    return _PAGE.format(
        covered=table(
            ["interval", "problems", "holds the truth", f"{LOW:.0%} to {HIGH:.0%}", "by truth"], rows
        ),
        wrong=table(
            ["where nothing is", f"p of at most {ALPHA:g}"], [[n, f"{rate:.3f}"] for n, rate in wrong]
        ),
    )


_PAGE = """# How often intervals hold the truth

Made by `python -m benchmarks._coverage`, which says what the data are: problems are drawn anew, over and
over, from a truth that is known, and every interval of 95% that a report shows is made of them. It should
hold the truth in 93% to 97% of draws. *By truth* are the lowest and the highest share among the truths that
were tried. Where answers are right or wrong, few problems leave few intervals to draw, and the share jumps
with the truth.

{covered}

An interval that holds the truth more often is wider than it need be. Few problems are such a case, where two
imagined ones keep a difference or a share from being too sure; few groups; and Clopper and Pearson's, which
is never surer than it says. An interval that holds the truth less often is too sure. The bootstrap of 20
problems is: it shows the figures of a line where they are no shares of problems, recovered gaps and measures
of traces. No verdict rests on it.

## How often p values err

Where there is nothing to be found, a line's p is small no more often than it should be, and so is the
smallest of several lines once they are corrected. Keys of one kind, and settings of a search, need no
correction for their number: the best one is chosen on `dev`, and the line is of the split, which the choice
has not seen. Chosen on the split itself, it would need one.

{wrong}
"""


def main() -> None:
    """Run, print the page, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--draws", type=int, help="draws for each truth, in place of those that the page needs"
    )
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    found = [coverage(kind, given.draws or kind.draws) for kind in KINDS]
    text = page(found, list(errors(given.draws or DRAWS)))
    print(text)
    publish({given.out.name: text.encode()}, given.out.parent)


if __name__ == "__main__":
    main()
