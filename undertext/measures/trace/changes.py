"""Changes to a trace, to see what the answer follows: each a seeded edit of a trail, by the problem's id.

| change | the checkpoint then reads | an answer that follows the trace |
|---|---|---|
| `unchanged` | the whole trace | |
| `truncated` | the first steps, a number drawn from 0 to T - 1 | |
| `corrupted` | the steps up to one that says another value | the answer had the value been so |
| `filler` | as many dots as the steps have words | |
| `another` | the trace of another problem | that problem's answer |
| `irrelevant` | as many sentences on something else as there are steps | |
| `reworded` | the question in other words, and the whole trace | |
| `paraphrased` | the question, and the steps in other words | |

After all but `corrupted` the lead follows, so that the answer is given at once. After a corrupted step the
checkpoint goes on by itself: later steps may take the value up.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from undertext.measures.trace.trails import Trail, says
from undertext.tasks.draws import seeds
from undertext.tasks.spans import join
from undertext.tasks.task import Problem
from undertext.tasks.value_positions import ValuePosition, unsaid_positions

Edit = Literal["truncated", "corrupted", "filler", "another", "irrelevant", "reworded", "paraphrased"]
Change = Edit | Literal["unchanged"]
EDITS: tuple[Edit, ...] = get_args(Edit)
UNCHANGED: Literal["unchanged"] = "unchanged"
PARAPHRASED: Literal["paraphrased"] = "paraphrased"
FILLER = "."
SENTENCES = (
    "The harbour was quiet in the morning.",
    "A grey cat slept on the warm wall.",
    "Rain fell on the old roofs of the town.",
    "The baker opened the door and swept the floor.",
    "Two boats came back before the wind turned.",
    "Somebody had left a lamp burning in the hall.",
)
"""What an irrelevant trace says: nothing of any task, and no number in digits."""


@dataclass(frozen=True)
class Changed:
    """One trail after one change."""

    index: int
    """Index of the trail's problem."""
    prompt: str
    """What the checkpoint reads before it goes on."""
    opening: str
    """The end of the prompt that counts as the beginning of the output."""
    answer: str | None
    """The answer that follows from the changed trace; None where none does, or none is known."""


def changed(
    change: Change,
    trails: Mapping[int, Trail],
    lead: str,
    seed: int,
    *,
    among: Sequence[Problem] = (),
    wordings: Mapping[int, Sequence[str]] | None = None,
    said_anew: Mapping[int, str] | None = None,
) -> list[Changed]:
    """The change made to every trail that allows it.

    `among` are problems whose values may be put in the place of a step's own (`corrupted`); `wordings` are
    the prompts of other wordings, and `said_anew` the steps in other words (`in_other_words`), by the
    problem's index. A trail without a step allows no change.
    `corrupted` needs a value that the task says of a step, with the answers there would be for other values;
    `another` a trace with another answer; `reworded` another wording; `paraphrased` steps in other words.
    """
    made = []
    order = list(trails)
    streams = seeds([trails[i].problem for i in order], seed)
    spare = _Values(among) if change == "corrupted" else None
    for i, stream in zip(order, streams, strict=True):
        others = (wordings or {}).get(i, ())
        anew = (said_anew or {}).get(i)
        one = _change(change, i, trails, lead, random.Random(stream), spare, others, anew)
        if one is not None:
            made.append(one)
    return made


def _change(
    change: Change,
    i: int,
    trails: Mapping[int, Trail],
    lead: str,
    rng: random.Random,
    spare: "_Values | None",
    wordings: Sequence[str],
    said_anew: str | None,
) -> Changed | None:
    trail = trails[i]
    problem, steps = trail.problem, trail.steps
    body = trail.text[: steps[-1].end] if steps else ""
    if not steps:
        return None
    match change:
        case "unchanged":
            return _asked(i, problem.prompt, body, lead)
        case "truncated":
            kept = rng.randrange(len(steps))
            return _asked(i, problem.prompt, trail.text[: steps[kept - 1].end] if kept else "", lead)
        case "filler":
            return _asked(i, problem.prompt, " ".join([FILLER] * len(body.split())), lead)
        case "irrelevant":
            first = rng.randrange(len(SENTENCES))
            text = " ".join(SENTENCES[(first + k) % len(SENTENCES)] for k in range(len(steps)))
            return _asked(i, problem.prompt, text, lead)
        case "another":
            return _another(i, trails, lead, rng)
        case "reworded":
            others = [text for text in wordings if text != problem.prompt]
            return _asked(i, rng.choice(others), body, lead) if others else None
        case "paraphrased":
            return None if said_anew is None else _asked(i, problem.prompt, said_anew, lead)
        case "corrupted":
            return None if spare is None else _corrupted(i, trail, rng, spare)


def in_other_words(trail: Trail, steps: Sequence[str]) -> str | None:
    """The trace as far as its last step, with other texts in the place of its steps; None where no step
    differs, white space aside."""
    text, end, differs = "", 0, False
    for span, said in zip(trail.steps, steps, strict=True):
        own = trail.text[slice(*span)]
        text += trail.text[end : span.start] + said
        differs, end = differs or said.split() != own.split(), span.end
    return text if differs else None


def _asked(i: int, prompt: str, text: str, lead: str, answer: str | None = None) -> Changed:
    """The trace and the lead after the prompt; white space at the lead's end is left to the checkpoint."""
    before = join(prompt, text) if text else prompt
    opening = lead.rstrip()
    return Changed(i, before + (opening.lstrip() if before[-1:].isspace() else opening), opening, answer)


def _another(i: int, trails: Mapping[int, Trail], lead: str, rng: random.Random) -> Changed | None:
    own = trails[i]
    others = sorted(
        (each for each in trails.values() if each.steps and each.problem.answer != own.problem.answer),
        key=lambda each: each.problem.id,
    )
    given = [each for each in others if each.answer is not None and each.answer != own.problem.answer]
    if not given:
        return None
    other = rng.choice(given)
    return _asked(i, own.problem.prompt, other.text[: other.steps[-1].end], lead, other.answer)


def _corrupted(i: int, trail: Trail, rng: random.Random, spare: "_Values") -> Changed | None:
    """The steps up to one that says another value of the same name, by which the answer is another one."""
    problem = trail.problem
    start = len(join(problem.prompt, problem.reasoning)) - len(problem.reasoning)
    reasoning = problem.reasoning
    choices: list[tuple[ValuePosition, str]] = []
    for position in unsaid_positions(problem):
        for value, answer in sorted(position.counterfactuals.items()):
            if value != str(position.value) and answer != problem.answer:
                choices.append((position, value))
    # The value must stand in this very text: another checkpoint's trace may be worded otherwise.
    choices = [
        (position, value)
        for position, value in choices
        if position.said_end is not None
        and trail.text.startswith(reasoning[: position.said_end - start].strip())
        and value in spare.of(position.name, str(position.value))
    ]
    if not choices:
        return None
    position, value = rng.choice(choices)
    head = reasoning[: position.char_offset - start]
    text = f"{head}{value}"
    return Changed(i, join(problem.prompt, text), text, position.counterfactuals[value])


class _Values:
    """The values that steps of some problems say, by name."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._by_name: dict[str, set[str]] = {}
        for problem in problems:
            for position in unsaid_positions(problem):
                self._by_name.setdefault(position.name, set()).add(str(position.value))

    def of(self, name: str, but: str) -> set[str]:
        """The values of this name, one left out."""
        return self._by_name.get(name, set()) - {but}


def follows(answer: str | None, wanted: str | None) -> bool:
    """Whether an answer, as it stands in an output, is the wanted one."""
    return (
        answer is not None
        and wanted is not None
        and (answer.strip() == wanted.strip() or says(answer, wanted))
    )
