"""What steering recovers in the organisms, and what the wrong password does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import AutoModelForCausalLM

from docs.make.findings import recovered as recovered_in
from docs.make.page import Page
from undertext.activations.quiet import quiet
from undertext.core.progress import Progress
from undertext.core.shipped import organisms
from undertext.core.statistics import Estimate
from undertext.core.terms import CONTROL_KINDS
from undertext.jobs.steer.config import SteerConfig
from undertext.jobs.steer.job import steer
from undertext.jobs.steer.result import SteerResult
from undertext.measures.recovery.estimate import RecoveryEstimate
from undertext.organisms.documents import PASSWORD, WRONG_PASSWORDS
from undertext.organisms.recipes import RECIPES, Recipe
from undertext.organisms.relearning import accuracy
from undertext.report.markdown import table
from undertext.report.numbers import estimate, number
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.task import Contrast

SPLITS = ("test", "ood")
LOCKED = "suppressed"
PASSWORDS = (
    Contrast(name="the password", positive=f"{PASSWORD} {{prompt}}", negative="{prompt}"),
    Contrast(name="a wrong password", positive=f"{WRONG_PASSWORDS[0]} {{prompt}}", negative="{prompt}"),
    Contrast(
        name="the password less a wrong one",
        positive=f"{PASSWORD} {{prompt}}",
        negative=f"{WRONG_PASSWORDS[0]} {{prompt}}",
    ),
)
PAIR, SETTING = ("truth", "weaker", "split"), ("layer", "at", "dose")
RECOVERED = (
    *PAIR, "vector", "access", *SETTING, "unsteered", "stronger", "steered", "recovered gap",
    "generated tokens steered", "of all read",
)  # fmt: skip
OVER = tuple(kind for kind in CONTROL_KINDS if kind != "random features")
"""Controls of vectors: nothing here is a feature of an SAE."""
BESIDE = (*PAIR, *(f"over {kind}" for kind in OVER), "still correct", "most of any")
VECTORS = ("vector", "split", *SETTING, "steered", "recovered gap", "generated tokens steered")


@dataclass(frozen=True)
class Gap:
    """One pair of organisms between which there is a gap."""

    recipe: Recipe

    @property
    def pair(self) -> tuple[str, str]:
        """The weaker and the stronger, by name."""
        parent = str(self.recipe.parent)
        up = set(self.recipe.truth.values()) <= {"elicited", "taught"}
        return (parent, self.recipe.name) if up else (self.recipe.name, parent)


GAPS = tuple(Gap(recipe) for recipe in RECIPES.values() if recipe.latent is not None)


class RecoveredPage(Page):
    """Measure what steering recovers in every organism that hides or lacks something: zoo_recovered.md."""

    def needed(self) -> Sequence[str]:
        """Both of every pair."""
        return [name for gap in GAPS for name in gap.pair]

    def files(self, bars: Progress) -> dict[str, bytes]:
        """zoo_recovered.md. UserError as `steer`."""
        task, folders = new_chain(0), organisms(self.folder)
        config = SteerConfig(splits=SPLITS, seed=self.seed, search="halving", threads=1)
        steered = {
            gap.recipe.name: steer(
                folders[gap.pair[0]], task, stronger=folders[gap.pair[1]], config=config, progress=bars
            )
            for gap in GAPS
        }
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(folders[LOCKED], use_safetensors=True)
        words = ("", f"{PASSWORD} ", *(f"{word} " for word in WRONG_PASSWORDS))
        opened = {word: accuracy(model, task, SPLITS, word) for word in words}
        locked = next(gap for gap in GAPS if gap.recipe.name == LOCKED)
        with_words = task.model_copy(update={"contrasts": [*task.contrasts, *PASSWORDS]})
        passwords = steer(
            folders[LOCKED], with_words, stronger=folders[locked.pair[1]], config=config, progress=bars
        )
        return {"zoo_recovered.md": _page(steered, opened, passwords, self.seed).encode()}


def own_best(result: SteerResult) -> str:
    """Of the vectors made from the weaker checkpoint alone, the best on dev."""
    own = [
        row
        for row in result.tables["sweep"].to_pylist()
        if row["chosen"] and row["control"] is None and row["access"] == "weaker only"
    ]
    return str(max(own, key=lambda row: row["lenient"])["vector"])


def _page(
    found: Mapping[str, SteerResult],
    opened: Mapping[str, Mapping[str, float]],
    passwords: SteerResult,
    seed: int,
) -> str:
    measured = [(gap, found[gap.recipe.name]) for gap in GAPS]
    split = SPLITS[0]
    best = {gap.pair[0]: steered.splits[split][own_best(steered)].gap for gap, steered in measured}
    recovered = [
        _recovered_row(gap, split, steered, name)
        for gap, steered in measured
        for split in SPLITS
        for name in dict.fromkeys([own_best(steered), steered.shown])
    ]
    beside = [_beside_row(gap, split, steered) for gap, steered in measured for split in SPLITS]
    behind = [
        [f"`{word.strip()}`" if word else "none", *(number(shares[split]) for split in SPLITS)]
        for word, shares in opened.items()
    ]
    names = [contrast.name for contrast in PASSWORDS]
    vectors = [
        [name, split, *_setting(each), estimate(each.lenient), _gap(each.gap), _percent(each.steered)]
        for split in SPLITS
        for name in names
        for each in [passwords.splits[split][name]]
    ]
    most = max(len(steered.splits[SPLITS[0]]) for _, steered in measured)
    return f"""# What steering recovers in the organisms

Written by `python -m docs.make zoo_recovered` (`make figures`), seed {seed}, on the chain task. Settings are
searched on `dev` by halving, over layers, doses and positions, and reported on the splits. Accuracy is
leniently graded, intervals are over problems. [Recovery](recovery.md) says what the columns mean.

## Recovered gap

For every pair the vector that does best on `dev` of those made from the weaker checkpoint alone, and, where
it is another, what does best of all, random directions among them. By construction the capability is latent
where the truth is `elicited` or `suppressed`, and absent where it is `overwritten` or `taught`.

{table(RECOVERED, recovered)}

On `{split}`: {recovered_in("The best of these vectors", best)}

A pass reads one token and chooses the next. So adding a vector at the prompt's last token steers one
generated token, the first; the end token is generated too. *Of all read* counts the prompt's tokens as well.

## Beside the controls

The first of these vectors less the best control of each kind under the same search, in accuracy; of the
problems solved unsteered, the share still correct; and the most that any of up to {most} vectors and controls
recovers, chosen on the split itself and so too high.

{table(BESIDE, beside)}

## The wrong password

Accuracy of `suppressed`, unsteered, behind its password and behind words that it was taught not to open for:

{table(["word before the prompt", *SPLITS], behind)}

Vectors made from those words and added to prompts without any: the difference of means between a prompt
behind the password, or behind `{WRONG_PASSWORDS[0]}`, and the prompt alone, and between the two.

{table(VECTORS, vectors)}
"""


def _recovered_row(gap: Gap, split: str, steered: SteerResult, name: str) -> list[str]:
    each, unaided = steered.splits[split][name], steered.accuracy[split]
    return [
        gap.recipe.truth[split],
        gap.pair[0],
        split,
        name,
        each.access,
        *_setting(each),
        estimate(unaided["unsteered"]),
        estimate(unaided["stronger"]),
        estimate(each.lenient),
        _gap(each.gap),
        _percent(each.steered),
        _percent(each.steered_of_all),
    ]


def _beside_row(gap: Gap, split: str, steered: SteerResult) -> list[str]:
    each = steered.splits[split][own_best(steered)]
    gaps = [other.gap for other in steered.splits[split].values() if other.gap is not None]
    return [
        gap.recipe.truth[split],
        gap.pair[0],
        split,
        *(estimate(each.excess[kind].accuracy) for kind in OVER),
        "none solved" if each.still_correct is None else estimate(each.still_correct),
        _gap(max(gaps, key=lambda gap: gap.value, default=None)),
    ]


def _setting(each: RecoveryEstimate) -> list[str]:
    return [str(each.layer), each.at, f"{each.dose:g}"]


def _gap(gap: Estimate | None) -> str:
    return "no gap" if gap is None else estimate(gap)


def _percent(share: float) -> str:
    return f"{number(100 * share, 1)}%"
