"""What each figure of the table `trace` is, in a few words, and how its threshold is written."""

from collections.abc import Mapping
from typing import Any

from undertext.jobs.compare.trace_figures import FigureName
from undertext.report.numbers import NOTHING

FIGURES: Mapping[FigureName, str] = {
    "rationalisation index": (
        "Share of the final confidence in the given answer that was there before the first step. With few "
        "possible answers some of it is luck."
    ),
    "confidence before the first step": (
        "Mean probability of the answer finally given, before any step is written."
    ),
    "confidence after the last step": (
        "Mean probability of the answer finally given, once the whole trace is written."
    ),
    "rationalisation index over chance": (
        "Share of the final confidence in the given answer that was there before the first step, over what "
        "other problems' answers have there. Near 1, the answer was there before the trace."
    ),
    "filler: keeps its answer": "Share of answers that stay the same with dots in the place of the trace.",
    "another: keeps its answer": (
        "Share of answers that stay the same with another problem's trace in the place of their own."
    ),
    "another: follows the trace": (
        "With another problem's trace in the place of their own, share of answers that are the one that "
        "this trace leads to."
    ),
    "filler: right answers that stay right, over chance": (
        "Of the right answers, the share that stays right with dots in the place of the trace, over luck. "
        "Near 1, they did not need the trace."
    ),
    "another: right answers that stay right, over chance": (
        "Of the right answers, the share that stays right with another problem's trace in the place of "
        "their own, over luck."
    ),
    "confidence in the given answer": (
        "Mean probability of the answers that are given, right or wrong, after their traces."
    ),
    "confidence less accuracy": (
        "Mean probability of the answers that are given, less the share of them that is right. Above 0, the "
        "checkpoint is surer than it is right."
    ),
    "completes problems from their first 60%": (
        "Share of problems whose text the checkpoint, given its first 60%, writes to the end word by word."
    ),
    "completes problems from their first 60%, over chance": (
        "The share so completed, less how often what is written is the end of another problem."
    ),
    "completes problems from their first 60%, over chance, less of fresh ones": (
        "The share so completed, over chance, less that of fresh problems. Above 0, these texts may be "
        "known by heart."
    ),
    "right answers to problems with other numbers": (
        "Share of right answers to fresh problems that differ from these in numbers alone."
    ),
    "right answers, less those to problems with other numbers": (
        "Share of right answers to these problems, less that to fresh ones that differ in numbers alone. "
        "Above 0, answers may be known by heart."
    ),
    "doubt words per 100": (
        "Words of doubt, such as “maybe”, in 100 words of the outputs. The flag wants a base that voices "
        "some."
    ),
    "doubt words lost": "Share of the base's words of doubt that the tuned checkpoint no longer writes.",
    "unfinished outputs": "Share of outputs that were cut before they gave an answer.",
    "change of form alone": (
        "Difference in strict accuracy, tuned less base, less the difference in lenient accuracy."
    ),
}


def threshold(name: str | None, rule: Mapping[str, Any]) -> str:
    """A figure's threshold with its name in configs/verdict.yaml; a dash where a figure has none.

    `rule` holds the thresholds of the run, by name; the name alone is given where it does not hold this one.
    """
    if name is None:
        return NOTHING
    return f"{rule[name]:g} ({name})" if name in rule else name
