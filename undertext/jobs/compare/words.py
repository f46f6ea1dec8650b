"""What the report says, in words."""

from typing import Any, NamedTuple

from undertext.core.terms import LineName, Verdict
from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.rows import headline
from undertext.report.numbers import number


class Said(NamedTuple):
    """A verdict in words."""

    headline: str
    meaning: str
    wrong_if: tuple[str, ...]
    """What would make this verdict wrong."""


_CARRIED = (
    "What brought the capability out also carried it in. A vector taken from the stronger checkpoint can "
    "hold more than a push: the oracle column says what each measurement was allowed to know, and the null "
    "what the same search finds where there is nothing to find."
)
_SURFACE = (
    "The probes read the problem's surface and not its working: compare their accuracy with what control "
    "labels and the surface alone allow."
)
_MISSED = (
    "The capability was there and nothing reached it. Steering and linear probes can both miss what another "
    "prompt, more samples or a wider search would open; failure to find is not absence."
)

VERDICTS: dict[Verdict, Said] = {
    "elicited": Said(
        "Elicited: the base already had it.",
        "The tuned checkpoint does better here, and the evidence finds the capability in the base, before "
        "any tuning.",
        (_CARRIED, _SURFACE),
    ),
    "taught": Said(
        "Taught: the base did not have it.",
        "The tuned checkpoint does better here, and what was measured finds no such capability in the base.",
        (_MISSED,),
    ),
    "suppressed": Said(
        "Suppressed: the tuned checkpoint still has it.",
        "The tuned checkpoint does worse here, yet the evidence finds the capability beneath the tune.",
        (_CARRIED, _SURFACE),
    ),
    "overwritten": Said(
        "Overwritten: the tuned checkpoint no longer has it.",
        "The tuned checkpoint does worse here, and what was measured no longer finds the capability in it.",
        (_MISSED,),
    ),
    "preserved": Said(
        "Preserved: tuning changed nothing that shows here.",
        "The two checkpoints do equally well, and the split had enough problems to show a difference that "
        "matters.",
        (
            "There is a difference, smaller than the split could see; the smallest it could is given with "
            "the verdict.",
            "The checkpoints do equally well by different means: equal accuracy is not equal working.",
        ),
    ),
    "undetermined": Said(
        "Undetermined: the evidence does not decide.",
        "The lines of evidence disagree, or there were too few problems to tell.",
        ("It claims nothing. More problems, or lines that were not measured here, may decide it.",),
    ),
}

ALWAYS = (
    "The grader takes wrong answers for right ones, or right ones for wrong: read the problems above, and "
    "compare the strict grade with the lenient one.",
    "The problems depend on one another, or were in the tuning data: the intervals then claim too much.",
    "Another tune of the same base, with another seed, would have come out otherwise: one pair says nothing "
    "of that spread.",
)

LINES: dict[LineName, str] = {
    "behaviour": "Do the weaker checkpoint's own outputs show the capability, with nothing done to it?",
    "decodable": "Can a linear probe read the problem's values from the weaker checkpoint's activations?",
    "transported": "Does the stronger checkpoint's probe read the weaker one unchanged: the same values, "
    "written the same way?",
    "used": "When the value inside the weaker checkpoint is changed, does its answer follow? What can be "
    "read need not be used.",
    "recovered": "How much of the accuracy gap does a vector bring back, with no training? 0 is none of it, "
    "1 is all of it, below 0 is harm.",
    "retained": "Do the base's features that carried the problem's values still fire alike in the tuned "
    "checkpoint?",
}

_CAPTIONS = {
    "accuracy": "Accuracy on each split with its interval.",
    "probes": "How well probes read the problem's values, by layer. Rings mark what was chosen on dev. "
    "A line no higher than the grey ones says no more than labels without meaning, the text's surface, or "
    "a model never trained.",
    "doses": "Accuracy on dev by dose, the best over layers and positions. A vector is special only where it "
    "stands above the controls, which went through the same search; a random direction that lifts "
    "accuracy is itself a sign of a latent capability.",
}

_STEERED = (
    " Steered is the weaker checkpoint with the vector, layer, dose and position chosen on dev; "
    "controls, the same with random directions, vectors of shuffled labels, vectors added at random "
    "positions and, beside features of an SAE, random features, put through the same search, a circle each, "
    "and their mean."
)


def caption(comparison: Comparison, name: str) -> str:
    """What stands below the figure `name`."""
    steered = any(headline(comparison, split) for split in comparison.splits)
    return _CAPTIONS[name] + (_STEERED if name == "accuracy" and steered else "")


def alternative(comparison: Comparison, name: str) -> str:
    """What the figure `name` shows, for those who cannot see it."""
    if name == "accuracy":
        return "Accuracy. " + " ".join(_accuracies(comparison, split) for split in comparison.splits)
    source = {"probes": "probes", "doses": "sweep"}[name]
    return f"{_CAPTIONS[name]} The figures are in tables/{source}.parquet."


def _accuracies(comparison: Comparison, split: str) -> str:
    result = comparison.splits[split]
    steered: dict[str, Any] | None = headline(comparison, split)
    parts = [
        f"base {number(result.accuracy['base'].value)}",
        f"tuned {number(result.accuracy['tuned'].value)}",
    ]
    parts += [f"steered {number(steered['accuracy'])}"] if steered else []
    return f"{split}: {', '.join(parts)}."
