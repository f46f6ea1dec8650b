"""What must hold of our own judge, beside what does."""

from undertext.jobs.bench.rates import CONFIDENT, Rate
from undertext.jobs.bench.scores import TRUTHS, JudgeScores, Scores
from undertext.jobs.bench.sections import HELD_OUT, OURS, ours, rated
from undertext.report.markdown import table
from undertext.report.numbers import number, percent

HARD = ("against_pushes", "wrong_answer", "wiped_by_noise")
"""Organisms like those that misled an earlier rule: each of their cases must be right."""
TOLERANCE = 1e-12
"""A rate that misses its bound by rounding alone does not miss it."""


def aims(scores: Scores, own: JudgeScores) -> str:
    """What must hold on the held-out part, and whether it does; and how large a bench this must rest on."""
    least = [("right, of verdicts given", own.all.right, 0.97)]
    least += [
        (f"right, of all cases {truth}", tally.right_of_all, 0.9)
        for truth, tally in own.groups["truth"].items()
    ]
    organisms = own.groups["organism"]
    least += [
        (f"right, of all cases of `{name}`", organisms[name].right_of_all, 1.0)
        for name in HARD
        if name in organisms
    ]
    most = [
        (f"wrong with a confidence over {CONFIDENT:g}, of verdicts given", own.all.confidently_wrong, 0.01),
        ("undetermined, of all cases", own.all.undetermined, 0.1),
        ("called absent, of cases where it is there", own.false_absent.of_cases, 0.02),
        ("called latent, of cases where nothing is", own.false_latent.of_cases, 0.0),
    ]
    rows = [
        [what, f"at {word} {percent(bound)}", rated(rate), _holds(sign * (bound - (rate.value or 0)), rate)]
        for word, sign, held in (("least", 1, least), ("most", -1, most))
        for what, rate, bound in held
    ]
    listed = ", ".join(f"`{name}`" for name in HARD)
    return "\n\n".join(
        [
            table([f"`{OURS}`, {HELD_OUT}", "bound", "measured", "holds"], rows),
            f"{listed} are like organisms that misled an earlier rule.\n"
            "How large the bench is beneath this, both parts together:",
            _size(scores),
        ]
    )


def _size(scores: Scores) -> str:
    """Of how many cases and worlds our own judge was asked, beside how many there must be."""
    judged = [each.groups["truth"] for _, each in ours(scores)]
    truths = {truth: sum(own[truth].cases for own in judged if truth in own) for truth in TRUTHS}
    fewest = min(truths, key=lambda truth: truths[truth])
    rows = [
        [what, str(least), str(count), "yes" if count >= least else f"no, by {least - count}"]
        for what, least, count in (
            ("scored cases", 200, sum(truths.values())),
            (f"scored cases of the rarest truth, {fewest}", 20, truths[fewest]),
            ("worlds, each trained by a seed of its own", 5, sum(map(len, scores.worlds.values()))),
        )
    ]
    return table(["what", "at least", "there are", "holds"], rows)


def _holds(short: float, rate: Rate) -> str:
    if not rate.of:
        return "no case"
    return "yes" if short <= TOLERANCE else f"no, by {number(100 * short, 1)} points"
