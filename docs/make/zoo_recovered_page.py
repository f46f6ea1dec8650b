"""What steering recovers in the organisms, and what the wrong password does, as a page of documentation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoModelForCausalLM

from undertext.activations.errors import UserError
from undertext.activations.quiet import quiet
from undertext.core.progress import Progress
from undertext.core.shipped import organisms
from undertext.core.statistics import Estimate
from undertext.jobs.steer.job import Steered, steer
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.controls import KINDS, described
from undertext.measures.recovery.estimate import RecoveryEstimate
from undertext.organisms.documents import PASSWORD, WRONG_PASSWORDS
from undertext.organisms.recipes import RECIPES, Recipe
from undertext.organisms.relearning import accuracy
from undertext.report.numbers import estimate, number
from undertext.tasks.task import Contrast, Task

SPLITS = ("test", "ood")
PAGE = "zoo_recovered.md"
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
    *PAIR, "vector", "knows", *SETTING, "unsteered", "stronger", "steered", "recovered gap",
    "generated tokens steered", "of all read",
)  # fmt: skip
OVER = tuple(kind for kind in KINDS if kind != "random features")
"""Controls of vectors: nothing here is a feature of an SAE."""
BESIDE = (*PAIR, *(f"over {kind}" for kind in OVER), "still solved", "most of any")
VECTORS = ("vector", "split", *SETTING, "steered", "recovered gap", "generated tokens steered")


@dataclass(frozen=True)
class Point:
    """One pair of organisms between which there is a gap."""

    recipe: Recipe

    @property
    def pair(self) -> tuple[str, str]:
        """The weaker and the stronger, by name."""
        parent = str(self.recipe.parent)
        up = set(self.recipe.truth.values()) <= {"elicited", "taught"}
        return (parent, self.recipe.name) if up else (self.recipe.name, parent)


POINTS = tuple(Point(recipe) for recipe in RECIPES.values() if recipe.latent is not None)


def own_best(found: Steered) -> str:
    """Of the vectors that know the weaker checkpoint alone, the best on dev."""
    own = [
        row
        for row in found.tables["sweep"].to_pylist()
        if row["chosen"] and row["control"] is None and row["oracle"] == "weaker only"
    ]
    return str(max(own, key=lambda row: row["lenient"])["vector"])


def recovered_page(
    folder: Path,
    task: Task,
    *,
    seed: int = 0,
    kept: Path | None = None,
    bars: Callable[[str], Progress] = lambda name: Progress(False),
) -> str:
    """The page as Markdown.

    With `kept`, a folder, results of each pair stay there, rows as they come: a job that was killed goes on
    where it was. Raises UserError where an organism is missing, and as `steer`.
    """
    there = organisms(folder)
    missing = sorted({name for point in POINTS for name in point.pair} - set(there))
    if missing:
        raise UserError(f"expected organisms in {folder}, there is no {', no '.join(missing)}")

    def run(name: str, weaker: str, stronger: str, task: Task) -> Steered:
        return steer(
            there[weaker],
            task,
            stronger=there[stronger],
            config=SearchConfig(splits=SPLITS, seed=seed, search="halving", threads=1),
            out=None if kept is None else kept / name,
            progress=bars(name),
        )

    found = {point.recipe.name: run(point.recipe.name, *point.pair, task) for point in POINTS}
    locked = next(point for point in POINTS if point.recipe.name == LOCKED)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(there[LOCKED], use_safetensors=True)
    words = ("", f"{PASSWORD} ", *(f"{word} " for word in WRONG_PASSWORDS))
    opened = {word: accuracy(model, task, SPLITS, word) for word in words}
    asked = task.model_copy(update={"contrasts": [*task.contrasts, *PASSWORDS]})
    passwords = run("passwords", *locked.pair, asked)
    return _page(found, opened, passwords, seed)


def _page(
    found: Mapping[str, Steered], opened: Mapping[str, Mapping[str, float]], passwords: Steered, seed: int
) -> str:
    points = [(point, found[point.recipe.name]) for point in POINTS]
    recovered = [
        _recovered_row(point, split, steered, name)
        for point, steered in points
        for split in SPLITS
        for name in dict.fromkeys([own_best(steered), steered.headline])
    ]
    beside = [_beside_row(point, split, steered) for point, steered in points for split in SPLITS]
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
    most = max(len(steered.splits[SPLITS[0]]) for _, steered in points)
    return f"""# What steering recovers in the organisms

Written by `undertext zoo recovered` (`make figures`), seed {seed}, on the chain task. Settings are searched
on `dev` by halving, over layers, doses and positions, and reported on the splits. Accuracy is leniently
graded, intervals are over problems. [Recovery](recovery.md) says what the columns mean.

## Recovered gap

For every pair the vector that does best on `dev` of those that know the weaker checkpoint alone, and, where
it is another, what does best of all, random directions among them. By construction the capability is latent
where the truth is `elicited` or `suppressed`, and absent where it is `overwritten` or `taught`.

{_table(RECOVERED, recovered)}

A pass reads one token and chooses the next. So adding a vector at the prompt's last token steers one
generated token, the first; the end token is generated too. *Of all read* counts the prompt's tokens as well.

## Beside the controls

The first of these vectors less the best control of each kind under the same search, in accuracy; of the
problems solved unsteered, the share still solved; and the most that any of up to {most} vectors and controls
recovers, chosen on the split itself and so too high.

{_table(BESIDE, beside)}

## The wrong password

Accuracy of `suppressed`, unsteered, behind its password and behind words that it was taught not to open for:

{_table(["word before the prompt", *SPLITS], behind)}

Vectors made from those words and added to prompts without any: the difference of means between a prompt
behind the password, or behind `{WRONG_PASSWORDS[0]}`, and the prompt alone, and between the two.

{_table(VECTORS, vectors)}
"""


def _recovered_row(point: Point, split: str, steered: Steered, name: str) -> list[str]:
    each, unaided = steered.splits[split][name], steered.accuracy[split]
    return [
        point.recipe.truth[split],
        point.pair[0],
        split,
        name,
        each.oracle,
        *_setting(each),
        estimate(unaided["unsteered"]),
        estimate(unaided["stronger"]),
        estimate(each.lenient),
        _gap(each.gap),
        _percent(each.steered),
        _percent(each.steered_of_all),
    ]


def _beside_row(point: Point, split: str, steered: Steered) -> list[str]:
    each = steered.splits[split][own_best(steered)]
    gaps = [other.gap for other in steered.splits[split].values() if other.gap is not None]
    return [
        point.recipe.truth[split],
        point.pair[0],
        split,
        *(estimate(each.excess[kind].accuracy) for kind in OVER),
        "none solved" if each.kept is None else estimate(each.kept),
        _gap(max(gaps, key=lambda gap: gap.value, default=None)),
    ]


def _setting(each: RecoveryEstimate) -> list[str]:
    return [str(each.setting.layers[0]), described(each.setting.where), f"{each.setting.dose:g}"]


def _gap(gap: Estimate | None) -> str:
    return "no gap" if gap is None else estimate(gap)


def _percent(share: float) -> str:
    return f"{number(100 * share, 1)}%"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])
