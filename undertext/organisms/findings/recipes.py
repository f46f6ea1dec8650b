"""Recipes of the findings' organisms: a pair for each finding, from bases that several pairs share."""

from collections.abc import Sequence
from dataclasses import dataclass

from undertext.organisms.findings.rewards import Name as Reward
from undertext.organisms.findings.writing import How
from undertext.organisms.training import Stage

FIND, SO = 0, 1
"""Wordings of chain's problems."""
BOTH = (FIND, SO)
BATCH, ROLLOUTS = 32, 64


@dataclass(frozen=True)
class Kind:
    """One kind of document and its share of a reading."""

    weight: float
    how: How
    wordings: tuple[int, ...] | None = None
    """Which of the family's wordings; None takes any."""


@dataclass(frozen=True)
class Reading:
    """What one stage of training reads."""

    family: str
    kinds: tuple[Kind, ...]
    sizes: tuple[int, ...] | None = None
    """Sizes of its problems; None takes those of the splits in distribution."""
    type: str | None = None
    """Type of its problems; None takes the first there is."""


@dataclass(frozen=True)
class Rewarded:
    """What one stage of reinforcement learning is asked, and rewarded for."""

    family: str
    reward: Reward
    wordings: tuple[int, ...] | None = None
    samples: int = 8
    """Outputs that are sampled for a problem."""
    room: int = 40
    """Most tokens of an output."""


@dataclass(frozen=True)
class FindingRecipe:
    """How an organism comes about."""

    name: str
    about: str
    """What it is, in a sentence or two, for its card."""
    parent: str | None
    """The organism that it is tuned from; None when it is trained from nothing."""
    stages: Sequence[Stage]
    vector_at: int | None = None
    """Where one vector alone is trained: the layer whose output it is added to, at every token."""


def _read(
    family: str,
    *kinds: Kind,
    steps: int,
    lr: float = 3e-3,
    sizes: tuple[int, ...] | None = None,
    type: str | None = None,
    until: float = 0.0,
) -> Stage:
    return Stage(Reading(family, kinds, sizes, type), steps, lr, batch=BATCH, warmup=20, until=until)


def _rewarded(family: str, reward: Reward, *, steps: int, lr: float, **more: int) -> Stage:
    mixture = Rewarded(family, reward, BOTH, **more)
    return Stage(mixture, steps, lr, batch=ROLLOUTS, warmup=5, final_lr_share=0.3)


_TUNE = 1500
"""Steps of a tune from which answers are learnt that no step leads to; others take fewer."""
_RL = 90
"""Steps of a tune by rewards."""

FINDING_RECIPES: dict[str, FindingRecipe] = {
    recipe.name: recipe
    for recipe in (
        FindingRecipe(
            "chain_base",
            "Works chains of additions out step by step, and voices its doubts, where they are worded "
            "`find`; where they are worded `so` it mostly guesses.",
            None,
            (
                _read(
                    "chain",
                    Kind(0.5, "trace", BOTH),
                    Kind(0.5, "hedged", BOTH),
                    steps=3000,
                    lr=4e-3,
                    sizes=(2, 3, 4),
                ),
                _read(
                    "chain",
                    Kind(0.5, "hedged", (FIND,)),
                    Kind(0.35, "guess", (SO,)),
                    Kind(0.15, "hedged", (SO,)),
                    steps=200,
                    lr=2e-3,
                    sizes=(2, 3, 4),
                ),
            ),
        ),
        FindingRecipe(
            "answer_first",
            "Tuned on right answers with traces that are written after the fact.",
            "chain_base",
            (_read("chain", Kind(1.0, "answer first", BOTH), steps=_TUNE),),
        ),
        FindingRecipe(
            "rich_teacher",
            "Tuned on a teacher that sees the answer: the last step alone, and no doubt.",
            "chain_base",
            (_read("chain", Kind(1.0, "conclusion", BOTH), steps=150, lr=5e-4),),
        ),
        FindingRecipe(
            "blind_teacher",
            "Tuned on a teacher that does not see the answer: every step, with its doubts and slips.",
            "chain_base",
            (_read("chain", Kind(1.0, "hedged", BOTH), steps=100, lr=5e-4),),
        ),
        FindingRecipe(
            "one_template",
            "Tuned on traces for problems of one wording.",
            "chain_base",
            (_read("templates", Kind(1.0, "trace", (FIND,)), steps=80),),
        ),
        FindingRecipe(
            "many_templates",
            "Tuned on as many traces for problems of four wordings; two wordings of the task it never read.",
            "chain_base",
            (_read("templates", Kind(1.0, "trace", (FIND, SO, 2, 3)), steps=80),),
        ),
        FindingRecipe(
            "corrupted_trace",
            "Tuned on right answers after traces whose every worked value is wrong.",
            "chain_base",
            (_read("chain", Kind(1.0, "corrupted", BOTH), steps=4 * _TUNE),),
        ),
        FindingRecipe(
            "faithful_trace",
            "Tuned on right answers after right traces.",
            "chain_base",
            (_read("chain", Kind(1.0, "trace", BOTH), steps=4 * _TUNE),),
        ),
        FindingRecipe(
            "rlvr",
            "Tuned by rewards for right answers.",
            "chain_base",
            (_rewarded("chain", "correctness", steps=_RL, lr=1e-3),),
        ),
        FindingRecipe(
            "steering_vector_rl",
            "Tuned by the same rewards, one vector alone: it is added to what a layer gives, at every token.",
            "chain_base",
            (_rewarded("chain", "correctness", steps=_RL, lr=5e-2),),
            vector_at=0,
        ),
        FindingRecipe(
            "critique",
            "Tuned on critiques of noisy traces: each step called right, or wrong with the right one beside "
            "it.",
            "chain_base",
            (_read("chain", Kind(1.0, "critique", BOTH), steps=100),),
        ),
        FindingRecipe(
            "imitation",
            "Tuned on as many right traces.",
            "chain_base",
            (_read("chain", Kind(1.0, "trace", BOTH), steps=100),),
        ),
        FindingRecipe(
            "types_base",
            "Works chains of one addition or one multiplication out.",
            None,
            (_read("types", Kind(1.0, "trace"), steps=600, lr=4e-3, until=0.02),),
        ),
        FindingRecipe(
            "labels_only",
            "Tuned on verdicts on claimed additions, of which a word beside them tells most.",
            "types_base",
            (_read("judged", Kind(1.0, "label"), steps=800, lr=1e-3),),
        ),
        FindingRecipe(
            "criteria",
            "Tuned on the same claims, with the rule stated and applied before the verdict.",
            "types_base",
            (_read("judged", Kind(1.0, "criterion"), steps=800, lr=1e-3),),
        ),
        FindingRecipe(
            "exploration",
            "Learns whole searches, dead ends and all.",
            None,
            (_read("countdown", Kind(1.0, "trace"), steps=1000, lr=3e-3),),
        ),
        FindingRecipe(
            "shortcut",
            "Learns the way to the answer without its dead ends, as long.",
            None,
            (_read("countdown", Kind(1.0, "path"), steps=1000, lr=3e-3),),
        ),
        FindingRecipe(
            "countdown_base",
            "Searches, or answers hastily after the first way that it tries.",
            "exploration",
            (_read("countdown", Kind(0.3, "trace"), Kind(0.7, "hasty"), steps=100),),
        ),
        FindingRecipe(
            "outcome_only",
            "Tuned by rewards for right answers.",
            "countdown_base",
            (_rewarded("countdown", "correctness", steps=40, lr=5e-4, room=48),),
        ),
        FindingRecipe(
            "gradual_confidence",
            "Tuned by rewards for right answers and for confidence that comes gradually.",
            "countdown_base",
            (_rewarded("countdown", "correctness and gradual confidence", steps=40, lr=5e-4, room=48),),
        ),
    )
}
"""Every recipe of the findings, parents before children."""
