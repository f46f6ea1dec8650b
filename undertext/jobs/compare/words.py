"""What the report of a comparison says, in words."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from undertext.core.terms import LineName, Verdict
from undertext.report.numbers import NOTHING, number, percent

QUESTION = "Was the capability already there?"

VERDICTS: dict[Verdict, tuple[str, str]] = {
    "elicited": (
        "Elicited: the base already had it.",
        "The tuned checkpoint does better here, and the evidence finds the capability in the base, before "
        "any tuning.",
    ),
    "composed": (
        "Composed: the base had the steps, and putting them together is new.",
        "The tuned checkpoint does better here. Nothing that was tried opens the capability in the base, and "
        "yet the base writes its steps right: each one once those before it are given, or all by itself.",
    ),
    "taught": (
        "Taught: the base did not have it.",
        "The tuned checkpoint does better here, and what was measured finds no such capability in the base.",
    ),
    "suppressed": (
        "Suppressed: the tuned checkpoint still has it.",
        "The tuned checkpoint does worse here, yet the evidence finds the capability beneath the tune.",
    ),
    "overwritten": (
        "Overwritten: the tuned checkpoint no longer has it.",
        "The tuned checkpoint does worse here, and what was measured no longer finds the capability in it.",
    ),
    "preserved": (
        "Preserved: tuning changed nothing that shows here.",
        "The two checkpoints do equally well, and the split had enough problems to show a difference that "
        "matters.",
    ),
    "undetermined": (
        "Undetermined: the evidence does not decide.",
        "The lines of evidence disagree, there were too few problems to tell, too many outputs were cut, or "
        "no checkpoint solves the task: the flags say which, and how many problems would be enough.",
    ),
}
"""A headline, and what the verdict means."""

_CARRIED = (
    "The measurement itself carried the capability in. A vector taken from the stronger checkpoint can hold "
    "more than a push: the access column says what each measurement was allowed to know, and the null what "
    "the same search finds where there is nothing to find."
)
_SURFACE = (
    "The probes read the surface of the problem and not its working: compare their accuracy with the "
    "accuracy that control labels and the text alone allow."
)
_MISSED = (
    "The capability was there and no measurement reached it. Steering and linear probes can both miss a "
    "capability that another prompt, more samples or a wider search would show; failure to find is not "
    "absence."
)


def limits(task: Mapping[str, Any]) -> str:
    """Where outputs end, from a task's record."""
    by_us = "chosen, since the task does not say"
    length = f"at most {task['max_new_tokens']} tokens"
    if "max_new_tokens" in task["chosen"]:
        length += f" ({by_us})"
    if not task["stop"]:
        return f"{length}; no stop text"
    ends = f"ended by {' or '.join(map(repr, task['stop']))}"
    return f"{length}; {ends} ({by_us})" if "stop" in task["chosen"] else f"{length}; {ends}"


WRONG_IF: dict[Verdict, tuple[str, ...]] = {
    "elicited": (_CARRIED, _SURFACE),
    "composed": (
        "A prompt, a vector or a wider search that was not tried would open the capability in the base: then "
        "it is elicited.",
        "The steps can be written without being understood: copied, or read off the text just before them.",
    ),
    "taught": (_MISSED,),
    "suppressed": (
        _CARRIED,
        _SURFACE,
        "It rests on `undone` alone, and what tuning took away came back from the stronger's weights, which "
        "lie midway as much as the weaker's do.",
    ),
    "overwritten": (_MISSED,),
    "preserved": (
        "There is a difference, smaller than the split could see; the smallest difference that the split "
        "could see is given with the verdict.",
        "The checkpoints do equally well by different means: equal accuracy is not equal working.",
    ),
    "undetermined": (
        "It claims nothing. More problems, or lines that were not measured here, may decide it.",
    ),
}
"""What would make each verdict wrong."""

ALWAYS = (
    "The grader takes wrong answers for right ones, or right ones for wrong: read the problems above, and "
    "compare the strict grade with the lenient one.",
    "The problems depend on one another, or were in the tuning data: the intervals then claim too much.",
    "Another tune of the same base, with another seed, would have come out otherwise: one pair says nothing "
    "of that spread.",
)

LINES: dict[LineName, str] = {
    "behaviour": "Do the weaker checkpoint's own outputs show the capability, with nothing done to it?",
    "rephrased": "Does the weaker checkpoint solve the gap's problems in other words of their own, their "
    "paraphrases?",
    "prompted": "How much of the accuracy gap does another prompt bring back: a wording, an instruction, "
    "solved examples?",
    "prefilled": "How much of the accuracy gap comes back when the output's beginning is written for the "
    "weaker checkpoint, the same for every problem?",
    "noised": "How much of the accuracy gap comes back when noise is added to the weaker checkpoint's "
    "weights?",
    "continued": "Given the right steps so far, does the weaker checkpoint write the next one right?",
    "stated": "Do the weaker checkpoint's own outputs state the right values of the steps, though their "
    "answers are wrong?",
    "decodable": "Can a linear probe read the problem's values from the weaker checkpoint's activations?",
    "transported": "Does the stronger checkpoint's probe read the weaker one unchanged: the same values, "
    "written the same way?",
    "used": "When the value inside the weaker checkpoint is changed, does its answer follow? A value that "
    "can be read need not be used.",
    "recovered": "How much of the accuracy gap does a vector bring back, with no training? 0 is none of it, "
    "1 is all of it, below 0 is harm.",
    "undone": "How much of the accuracy gap comes back when half of what tuning changed in the weights is "
    "undone? Most of it after a lock, little after training that wiped the capability out.",
    "retained": "Do the base's features that carried the problem's values still fire alike in the tuned "
    "checkpoint?",
}

KEYS: dict[LineName, str] = {
    "behaviour": "sampling",
    "rephrased": "other words of the problem",
    "prompted": "another prompt",
    "prefilled": "a beginning written for it",
    "noised": "noise on the weights",
    "recovered": "a vector",
}
"""What each kind of key is."""

NEVER: tuple[LineName, ...] = ("retained",)
"""Lines that no comparison measures."""
FEATURES_ELSEWHERE = (
    "`retained`, features of an SAE and latents of a crosscoder: none was given (`sae`, `crosscoder`); see "
    "`undertext sae features` and `undertext sae diff` too."
)
"""What is said where neither was given."""
ELSEWHERE = (
    "Values at other tokens than the one before which a step says them: `undertext probe` (`positions`). A "
    "comparison reads each value at that one place of its step.",
    "Information gain and confidence along the task's own traces and along the other checkpoint's: "
    "`undertext measure`. A comparison scores answers along each checkpoint's own traces, at ten places at "
    "most.",
    "Probes of other values, or at other layers, at each token of an output: `undertext trace`. More "
    "than one feature of an SAE at each token: `undertext sae features` and `undertext sae diff`.",
    "The steered checkpoint's own probabilities: its outputs are read by both checkpoints without the "
    "vector.",
)
"""What no comparison measures, and where it is measured."""


def grade(strict: bool | None, lenient: bool | None, unfinished: bool | None) -> str:
    """How an output was graded, in words."""
    if lenient is None:
        return "not graded"
    if lenient:
        return "right" if strict else "right, but for its form"
    return "unfinished" if unfinished else "wrong"


CAPTIONS = {
    "accuracy": "Accuracy on each split with its interval.",
    "recovery": "How much of the gap each kind of key brings back in the weaker checkpoint: (with the key - "
    "the weaker) / (the stronger - the weaker), signed and not cut off at 0 or 1. Of sampling it is the "
    "share of the gap's problems that some of k samples solve. Bands are as above. A key opens what no band "
    "of other problems' answers reaches. A control of the vector that recovers as much shows that the vector "
    "is not special, and is itself a sign of a latent capability.",
    "confidence": "Mean probability of the answer finally given, by the share of the checkpoint's own trace "
    "that stands before it. Bands are intervals. An answer that is as sure before the first step owes the "
    "trace nothing.",
    "gain": "Mean log-probability of the right answer, less that before the first step, by the share of the "
    "checkpoint's own trace. Bands are intervals. What counts is where a curve ends: above 0 the trace has "
    "told something of the right answer, below 0 it has led away from it. On the way a curve may dip, for a "
    "right trace as well: in the midst of a trace the text of any answer is unlikely.",
    "latents": "The latents of the crosscoder that fire: how often, and the cosine of a latent's two "
    "decoders, by its relative decoder norm. Kinds are by latent scaling. Latents at the ends are "
    "of one checkpoint alone, where scaling agrees; where a cosine is near 0 or below, the two write "
    "another direction.",
    "doses": "Accuracy on dev by dose, the best over layers and positions; a search by halving tries most "
    "doses on a few problems, and only its last ones on all. A vector is special only where it "
    "stands above the controls, which went through the same search; a random direction that lifts "
    "accuracy is itself a sign of a latent capability.",
}
KEYED = (
    " Below them stands the weaker checkpoint under the best key of each kind: another prompt, a beginning "
    "written for it, noise on its weights, a vector (where none was offered, the strongest random "
    "direction). Grey bands are what controls reach, from the lowest bound of their intervals to the "
    "highest; circles are single controls, the number is their mean. Random directions, vectors of shuffled "
    "labels, vectors at random positions and, beside features of an SAE, random features went through the "
    "same search as the vector. Other problems' answers: what the same outputs would score if they knew "
    "nothing of their problem, the problems that the weaker has right by itself counted as right."
)
"""What the caption of `accuracy` adds where a key was tried."""

POSITIONS = {
    "last_prompt": "at the last prompt token",
    "prompt": "at every prompt token",
    "generated": "at every generated token",
    "all": "at every token",
}
"""The tokens at which a vector was added, in words."""


@runtime_checkable
class Judged(Protocol):
    """A verdict, and how sure it is."""

    @property
    def verdict(self) -> Verdict:
        """Its word."""

    @property
    def confidence(self) -> float:
        """The chance that it is right."""

    @property
    def stability(self) -> float:
        """The share of resamples that give it too."""


def confident(result: Judged) -> str:
    """The chance that a verdict is right; `undetermined` is no claim that could be."""
    return NOTHING if result.verdict == "undetermined" else number(result.confidence)


def sureness(result: Judged) -> str:
    """How sure a verdict is, in brackets behind it."""
    if result.verdict == "undetermined":
        return f"the same in {percent(result.stability)} of resamples"
    return f"confidence {number(result.confidence)}"


def sure(result: Judged) -> str:
    """How sure a verdict is, in a sentence or two."""
    same = f"{percent(result.stability)} of resamples of the problems"
    if result.verdict == "undetermined":
        return f"The rule says the same of {same}."
    return (
        f"Confidence: {number(result.confidence)}, the chance that a verdict of such evidence is right. The "
        f"rule gives the same verdict to {same}."
    )
