"""The ten findings: what was published, which organisms show it, and which figure decides.

Papers are named by their arXiv numbers. Their figures are of other models on other tasks: what is compared is
the direction, never the size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Figure = Literal[
    "accuracy", "gain", "given at once", "words", "doubt", "sensitivity", "valid", "right, not valid", "area",
    "follows another", "dead ends left", "dead branch read", "good step read", "internal doubt",
]  # fmt: skip
"""A figure of an organism, problem by problem (`docs.make.findings_measured`)."""
NAMES: dict[Figure, str] = {
    "accuracy": "accuracy",
    "gain": "information gain of its trace (nats)",
    "given at once": "probability of its answer before the first step",
    "words": "words",
    "doubt": "markers of doubt per 100 words",
    "sensitivity": "PromptSensiScore",
    "valid": "valid traces",
    "right, not valid": "right answers after traces that are not valid",
    "area": "area over the curve of its confidence",
    "follows another": "follows another problem's trace",
    "dead ends left": "dead ends left",
    "dead branch read": "a dead branch read before the text says so, over its surface",
    "good step read": "a good step read in a type never seen, over its surface",
    "internal doubt": "read probability of being wrong: where it is wrong, less where it is right",
}
"""What pages call each figure."""


@dataclass(frozen=True)
class Compared:
    """A figure of two organisms, of which the second is held against the first."""

    figure: Figure
    one: str
    other: str
    split: str = "test"
    says: Literal["more", "less", "not less", None] = None
    """What the finding says of the second; None where the figure only stands beside the others."""
    margin: float = 0.0
    """For `not less`: how much less still counts as not less."""
    family: str | None = None
    """The family whose problems are asked, where it is not the finding's."""
    measures: tuple[str, ...] | None = None
    """What is measured, where it is not what the finding's other figures come from."""


@dataclass(frozen=True)
class Asked:
    """What one organism is asked, and what is measured."""

    organism: str
    split: str
    family: str
    measures: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """How much of one organism's gain over a base another one has."""

    other: str
    whole: str
    base: str
    split: str = "test"


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    number: int
    title: str
    published: str
    source: str
    family: str
    """The family of problems that its organisms are asked."""
    measures: tuple[str, ...]
    """What `undertext measure` is asked for."""
    compared: Sequence[Compared]
    """The finding came out where every figure that it says something of is as it says."""
    share: Share | None = None
    missing: str = ""
    """What the finding is also about and is not measured here."""
    tried: str = ""
    """What else was tried."""

    @property
    def organisms(self) -> tuple[str, ...]:
        """Names of the organisms that are compared."""
        return tuple(dict.fromkeys(name for each in self.compared for name in (each.one, each.other)))

    def asked(self, each: Compared) -> tuple[Asked, Asked]:
        """What the two organisms of a comparison are asked."""
        family, measures = each.family or self.family, each.measures or self.measures
        return Asked(each.one, each.split, family, measures), Asked(each.other, each.split, family, measures)


CHOSEN_ON = tuple(range(10))
"""Seeds on which recipes were chosen."""

FINDINGS: tuple[Finding, ...] = (
    Finding(
        1,
        "Tuning on right answers with traces written after the fact: accuracy rises, the steps say less",
        "InfoGain -38.9% on average after supervised tuning",
        "2506.02126",
        "chain",
        ("information", "style"),
        (
            Compared("gain", "chain_base", "answer_first", says="less"),
            Compared("accuracy", "chain_base", "answer_first", says="more"),
            Compared("given at once", "chain_base", "answer_first"),
        ),
        tried="a tune of a sixth of the steps: the answer was then often worked out in the steps after it, "
        "and mended at the end (gain 1.03 nats, over seeds 0 to 2).",
    ),
    Finding(
        2,
        "Labels teach the surface; a rule that is stated and applied carries over to other types",
        "a position paper: no experiment found",
        "2403.16084",
        "judged",
        ("style",),
        (
            Compared("accuracy", "labels_only", "criteria", "ood", says="more"),
            Compared("accuracy", "labels_only", "criteria"),
            Compared(
                "good step read", "labels_only", "criteria", "ood", family="claims", measures=("criteria",)
            ),
        ),
        tried="shorter and longer tunes at three rates; chains of both types rehearsed in the tune (0.46 out "
        "of distribution on seed 9); the step worked out before the rule is applied "
        "(0.41). The rule was always applied as an addition, the one type that was judged in training.",
    ),
    Finding(
        3,
        "Whole searches, dead ends included, teach more than the way to the answer alone",
        "accuracy on Countdown 25% higher than with the shortest ways",
        "2404.03683",
        "countdown",
        ("style", "exploration"),
        (
            Compared("accuracy", "shortcut", "exploration", says="more"),
            Compared("words", "shortcut", "exploration"),
            Compared("dead ends left", "shortcut", "exploration"),
            Compared("dead branch read", "shortcut", "exploration"),
        ),
    ),
    Finding(
        4,
        "Critiques of noisy traces teach more than right traces do",
        "4 to 10% above supervised tuning on six benchmarks",
        "2501.17703",
        "chain",
        ("style",),
        (
            Compared("accuracy", "imitation", "critique", says="more"),
            Compared("accuracy", "imitation", "critique", "ood"),
        ),
        tried="critiques read at a sixth of the rate (0.65 in distribution on seed 9) "
        "and for four times as long (0.15). Asked a problem without a trace, it goes on as a critique, and "
        "right traces alone leave nothing to be gained.",
    ),
    Finding(
        5,
        "A teacher who sees the answer makes students that are short, sure, and worse out of distribution",
        "performance drops of up to 40%, on problems out of distribution",
        "2603.24472",
        "chain",
        ("style",),
        (
            Compared("accuracy", "blind_teacher", "rich_teacher", "ood", says="less"),
            Compared("words", "blind_teacher", "rich_teacher", says="less"),
            Compared("doubt", "blind_teacher", "rich_teacher", says="less"),
            Compared("accuracy", "blind_teacher", "rich_teacher"),
        ),
        tried="tunes at six times and twice the learning rate, at which the blind teacher's student forgot "
        "longer chains too (out of distribution 0.11 and 0.46, over seeds 0 to 2).",
    ),
    Finding(
        6,
        "Tuning on such a teacher takes the base's doubts away",
        "182 epistemic tokens a response in the base's own traces, 9 in the teacher's, as a summary of the "
        "paper has it; the paper itself was not at hand",
        "2603.24472",
        "chain",
        ("style", "uncertainty"),
        (
            Compared("doubt", "chain_base", "rich_teacher", says="less"),
            Compared("doubt", "chain_base", "blind_teacher"),
            Compared("internal doubt", "chain_base", "rich_teacher"),
        ),
    ),
    Finding(
        7,
        "Rewarding confidence that comes gradually lifts accuracy above rewarding outcomes alone",
        "Countdown 19 to 61%",
        "2605.24396",
        "countdown",
        ("confidence", "style"),
        (
            Compared("accuracy", "outcome_only", "gradual_confidence", says="more"),
            Compared("area", "outcome_only", "gradual_confidence"),
        ),
        tried="3 to 6 updates, after which neither has come to its end, with the same draws for both, and "
        "with batches four times as large; a base that guesses at once where it does not search. The one "
        "with confidence was ahead on some seeds and behind on others. The base searches often enough that "
        "outcomes alone bring the search back.",
    ),
    Finding(
        8,
        "Training on many templates makes answers survive rephrasing",
        "confident models are the less sensitive ones; no single figure",
        "2410.12405",
        "templates",
        ("sensitivity", "style"),
        (
            Compared("sensitivity", "one_template", "many_templates", says="less"),
            Compared("accuracy", "one_template", "many_templates"),
        ),
    ),
    Finding(
        9,
        "Corrupted traces train as well as right ones",
        "largely comparable to right traces, and better out of distribution; no single figure taken over",
        "2505.13775",
        "chain",
        ("faithfulness", "style"),
        (
            Compared("accuracy", "faithful_trace", "corrupted_trace", says="not less", margin=0.1),
            Compared("valid", "faithful_trace", "corrupted_trace", says="less"),
            Compared("right, not valid", "faithful_trace", "corrupted_trace"),
            Compared("follows another", "faithful_trace", "corrupted_trace"),
            Compared("accuracy", "faithful_trace", "corrupted_trace", "ood"),
        ),
        tried="tunes of a twelfth, a quarter and half as many steps: right answers after wrong steps are "
        "learnt late; after half as many, two seeds of nine had not learnt them.",
    ),
    Finding(
        10,
        "One vector trained by reward brings out what the base already has",
        "28.7 to 65.3 with vectors, 70.4 with all weights",
        "2505.18706",
        "chain",
        ("style",),
        (
            Compared("accuracy", "chain_base", "steering_vector_rl", says="more"),
            Compared("accuracy", "chain_base", "rlvr", says="more"),
        ),
        tried="a third of the updates (one vector 0.72, all weights 0.99, over seeds 0 to 2).",
        share=Share("steering_vector_rl", "rlvr", "chain_base"),
        missing="the other routes (docs/routes.md has the five on the zoo)",
    ),
)
"""The ten, by number."""
