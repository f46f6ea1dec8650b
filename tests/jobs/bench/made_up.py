"""Judgements made up for tests."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from undertext.core.terms import Verdict
from undertext.jobs.bench.case import Case, Judged, Part
from undertext.jobs.bench.scores import TRUTHS, VERDICTS


def case(organism: str, truth: Verdict, number: int = 1, part: Part = "held out", **more: Any) -> Case:
    """A case in the world of this number."""
    plain = Case(
        f"chain-llama-word-{number}", "chain", "llama", "word", number, part, organism, "base", "test", truth
    )
    return replace(plain, **more)


def judged(of: Case, verdict: Verdict, confidence: float = 0.9, **more: Any) -> Judged:
    """What our own judge said of a case."""
    return replace(Judged(of, "undertext", 0, verdict, confidence, None, 2.0, 100), **more)


def many(
    cases: int, seed: int = 0, *, judges: tuple[str, ...] = ("undertext", "accuracy alone")
) -> list[Judged]:
    """Judgements with everything in them: parts, families, shares, ambiguous cases, two seeds of ours."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(cases):
        number, truth = i // 6 % 12, TRUTHS[i % len(TRUTHS)]
        family, shape = ("chain", "graph")[number % 2], ("llama", "gpt2")[number % 3 > 0]
        of = Case(
            f"{family}-{shape}-word-{number}", family, shape, "word", number,
            "tuning" if number < 4 else "held out", f"{truth}_{i // 72}", "base", ("test", "ood")[i % 5 == 0],
            truth,
            share=float(rng.integers(0, 5)) / 4 if i % 3 == 0 else None,
            ambiguous="relearning says <otherwise> | behaviour does not" if i % 17 == 3 else "",
        )  # fmt: skip
        for judge in judges:
            for own in (0, 1) if judge == "undertext" else (0,):
                hit = rng.random() < (0.9 if judge == "undertext" else 0.5)
                verdict = truth if hit else VERDICTS[rng.integers(len(VERDICTS))]
                share = None
                if of.share is not None and rng.random() < 0.8:
                    value = of.share + float(rng.normal(0, 0.1))
                    share = (value, value - 0.2, value + 0.2)
                found.append(
                    Judged(
                        of, judge, own, verdict, round(float(rng.beta(6, 1)), 3), share,
                        round(float(rng.gamma(4)), 2), int(rng.choice([60, 120, 240])),
                    )
                )  # fmt: skip
    return found


@st.composite
def judgements(draw: st.DrawFn) -> list[Judged]:
    """Up to two judges with up to two seeds on up to nine cases of three worlds, in any order."""
    found = []
    for i in range(draw(st.integers(1, 9))):
        number = draw(st.integers(0, 2))
        of = case(
            f"organism_{i}",
            draw(st.sampled_from(TRUTHS)),
            number,
            "tuning" if number == 0 else "held out",
            share=draw(st.sampled_from([None, 0.0, 0.5])),
            ambiguous=draw(st.sampled_from(["", "", "", "unlike"])),
        )
        asked = st.sampled_from([("undertext", 0), ("undertext", 1), ("other", 0)])
        for judge, seed in draw(st.sets(asked, min_size=1)):
            bounds = draw(st.sampled_from([None, (0.4, -float("inf"), 0.6), (0.4, 0.3, float("inf"))]))
            found.append(
                judged(
                    of,
                    draw(st.sampled_from(VERDICTS)),
                    draw(st.floats(0, 1)),
                    judge=judge,
                    seed=seed,
                    share=bounds,
                    seconds=draw(st.floats(0, 100)),
                    problems=draw(st.integers(0, 300)),
                )
            )
    return draw(st.permutations(found))
