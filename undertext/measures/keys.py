"""Keys that say nothing of the problem, and may open what a checkpoint holds: prompts, openings, and noise on
the weights.

A key carries no information about any one problem. Whatever it lets a checkpoint solve was there (Elicitation
Game, arXiv 2502.02180: prompts open what steering misses). Which key is best is chosen on dev.
"""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.noise import noisy
from undertext.core.plan import Work
from undertext.core.printable import shown
from undertext.core.terms import FIT, Access
from undertext.measures.answers import Answers, Progress, greedy, solved
from undertext.tasks.draws import drawn
from undertext.tasks.prompts import INSTRUCTIONS, OTHER_FORM
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task, fill
from undertext.tasks.work import answering

KeyKind = Literal["prompted", "prefilled", "noised"]
"""The line of evidence that a key counts for."""

SHOTS = (2, 4)
WORDS = (1, 2, 4, 8)
"""Lengths, in words, of the stronger's commonest openings."""
NOISES = (0.05, 0.1, 0.2)
"""Standard deviations of noise on the weights, as shares of each matrix's root mean square."""
DRAWS = 2
OTHERS = 2
"""How many other problems' first steps are tried as openings."""


class Key(NamedTuple):
    """Something to put around every problem alike, or after it."""

    name: str
    kind: KeyKind
    access: Access
    before: tuple[str, ...] = ()
    """Solved examples, a line each."""
    wording: str = "{prompt}"
    opening: str = ""
    """What the output begins with."""
    noise: float = 0.0
    """Scale of the noise on the weights (`activations.noise`)."""
    seed: int = 0
    """Random seed of the noise."""

    def prompt(self, problem: Problem) -> str:
        """What a checkpoint reads of a problem under this key."""
        # An example's own problem would be shown its answer.
        others = [each for each in self.before if not each.startswith(problem.prompt)]
        asked = problem.prompt if self.wording == "{prompt}" else problem.worded(self.wording)
        text = "\n".join([*others, asked])
        return join(text, self.opening) if self.opening else text


@dataclass(frozen=True)
class KeysTried:
    """How keys did on dev."""

    keys: list[Key]
    accuracy: dict[str, float]
    """By name; of those that could be tried."""
    best: dict[KeyKind, Key]
    notes: list[str]
    """Keys that could not be tried, and why."""


def keys_of(task: Task, stronger: Sequence[str], right: Sequence[bool], seed: int) -> list[Key]:
    """The keys of a task: both wordings of each contrast, the form in which the other checkpoint is asked
    where the task has it (`with_other_form`), instructions, solved examples of train with and without their
    traces, the commonest openings of the `stronger`'s outputs to dev (its `right` ones, where there are any),
    the first steps of other problems, and weights with noise.
    """
    keys = [
        Key(f"worded {contrast.name!r}, {side}", "prompted", "none", wording=wording)
        for contrast in task.contrasts
        for side, wording in (("positive", contrast.positive), ("negative", contrast.negative))
    ]
    if any(problem.has_wording(OTHER_FORM) for problem in task.problems):
        examples = any(form.examples for form in (task.prompt, task.tuned_prompt) if form is not None)
        access: Access = "the trace" if examples else "none"
        keys.append(Key("asked as the other checkpoint is", "prompted", access, wording=OTHER_FORM))
    keys += [Key(f"told {fill(each, '..')!r}", "prompted", "none", wording=each) for each in INSTRUCTIONS]
    shots = drawn(task.split(FIT), seed)
    for count in SHOTS:
        some = shots[:count]
        if any(problem.reasoning for problem in some):
            keys.append(Key(f"{count} solved examples", "prompted", "the trace", tuple(map(solved, some))))
        bare = tuple(join(problem.prompt, problem.answer) for problem in some)
        keys.append(Key(f"{count} answered examples", "prompted", "none", bare))
    outputs = [text for text, good in zip(stronger, right, strict=True) if good] or list(stronger)
    for count in WORDS:
        opening = _commonest([_words(text, count) for text in outputs])
        if opening and all(key.opening != opening for key in keys):
            name = f"begun with {shown(opening.strip())}"
            keys.append(Key(name, "prefilled", "the trace", opening=opening.strip()))
    for other in [problem for problem in shots if problem.steps][:OTHERS]:
        step = other.steps[0].text
        keys.append(
            Key(f"begun with another problem's step {shown(step)}", "prefilled", "the trace", opening=step)
        )
    for noise in NOISES:
        for draw in range(DRAWS):
            name = f"weights with noise of {noise:g} of their size, draw {draw + 1}"
            keys.append(Key(name, "noised", "none", noise=noise, seed=seed + draw))
    return keys


def answers_under(
    checkpoint: Checkpoint,
    task: Task,
    key: Key,
    problems: Sequence[Problem],
    *,
    batch_size: int = 512,
    progress: Progress | None = None,
) -> Answers:
    """Greedy answers with a key; outputs are graded with the opening before them. UserError as `greedy`."""
    prompts = [key.prompt(problem) for problem in problems]
    with _noise_of(checkpoint, key):
        return greedy(
            checkpoint,
            task,
            problems,
            prompts=prompts,
            opening=key.opening,
            batch_size=batch_size,
            progress=progress,
        )


def _noise_of(checkpoint: Checkpoint, key: Key) -> AbstractContextManager[None]:
    return noisy(checkpoint, key.noise, seed=key.seed) if key.noise else nullcontext()


def try_keys(
    checkpoint: Checkpoint,
    task: Task,
    keys: Sequence[Key],
    problems: Sequence[Problem],
    also: Sequence[Problem] = (),
    *,
    batch_size: int = 512,
    progress: Progress | None = None,
) -> KeysTried:
    """Try every key on these problems of dev. The best of a kind is the first of the most accurate ones.

    A key that cannot be put to each of them, or to each of the problems that it may be reported on (`also`),
    is left out.
    """
    found: dict[Key, float | UserError] = {}
    for lot in _together(keys):
        found |= _accuracies(checkpoint, task, lot, problems, also, batch_size)
        if progress is not None:
            progress(len(lot) * len(problems))
    accuracy: dict[str, float] = {}
    best: dict[KeyKind, Key] = {}
    notes = []
    for key in keys:
        own = found[key]
        if isinstance(own, UserError):  # examples that do not fit the context, words that the tokenizer lacks
            notes.append(f"the key {key.name} was not tried: {own}")
            continue
        accuracy[key.name] = own
        if key.kind not in best or own > accuracy[best[key.kind].name]:
            best[key.kind] = key
    return KeysTried(list(keys), accuracy, best, notes)


def _together(keys: Sequence[Key]) -> list[list[Key]]:
    """Keys whose prompts are written on in one batch: few rows of a small model cost as much as many.

    Each that shows examples is by itself, since its prompts are many times longer than others, which would be
    padded; and so is noise, since it changes the weights.
    """
    apart = [[key] for key in keys if key.before or key.noise]
    others = [key for key in keys if not key.before and not key.noise]
    return [others, *apart] if others else apart


def _accuracies(
    checkpoint: Checkpoint,
    task: Task,
    keys: Sequence[Key],
    problems: Sequence[Problem],
    also: Sequence[Problem],
    batch_size: int,
) -> dict[Key, float | UserError]:
    """Accuracy under each of these keys, which are alike but for their words; or why it cannot be put."""
    asked = [(key, problem) for key in keys for problem in problems]
    room = 0 if task.grader.kind == "likelihood" else task.max_new_tokens
    try:
        for key in keys:
            checkpoint.encode([key.prompt(problem) for problem in also], room=room)
        with _noise_of(checkpoint, keys[0]):
            answers = greedy(
                checkpoint,
                task,
                [problem for _, problem in asked],
                prompts=[key.prompt(problem) for key, problem in asked],
                opening=[key.opening for key, _ in asked],
                batch_size=batch_size,
            )
    except UserError as error:
        if len(keys) == 1:
            return {keys[0]: error}
        # Which of them it is shows once they are fewer.
        half = len(keys) // 2
        parts = [
            _accuracies(checkpoint, task, some, problems, also, batch_size)
            for some in (keys[:half], keys[half:])
        ]
        return parts[0] | parts[1]
    of_each = answers.lenient.reshape(len(keys), len(problems))
    return {key: float(own.mean()) for key, own in zip(keys, of_each, strict=True)}


def key_works(
    checkpoint: Checkpoint,
    stronger: Checkpoint,
    task: Task,
    of_stronger: Task,
    dev: Sequence[Problem],
    theirs: Sequence[Problem],
    splits: Sequence[str],
    seed: int,
) -> list[Work]:
    """What it takes to try every key on `dev`, of which the stronger reads `theirs`, and to answer each split
    under the best key of each kind. The openings of the stronger's outputs are not known yet: they are taken
    to be as long as an output may be.
    """
    keys = keys_of(task, [], [], seed)
    opened = 0 if task.grader.kind == "likelihood" else task.max_new_tokens
    tried = answering("keys", stronger, of_stronger, theirs)
    for key in keys:
        tried = tried.and_also(_under(checkpoint, task, key, dev))
    unknown = [_opened(checkpoint, task, dev, opened)] * len(WORDS)
    for each in unknown:
        tried = tried.and_also(each)
    works = [tried._replace(why="keys that are alike or do not fit the context are not tried")]
    for split in splits:
        problems = task.split(split)
        by_kind = {"prefilled": _opened(checkpoint, task, problems, opened)}
        for key in keys:
            own = _under(checkpoint, task, key, problems)
            by_kind[key.kind] = by_kind[key.kind].up_to(own) if key.kind in by_kind else own
        whole = Work(f"keys on {split}", 0, 0, why="which key of each kind is best is not known before dev")
        for each in by_kind.values():
            whole = whole.and_also(each)
        works.append(whole)
    return works


def _under(checkpoint: Checkpoint, task: Task, key: Key, problems: Sequence[Problem]) -> Work:
    """Answers under a key; nothing where it does not fit the context, and is not tried."""
    try:
        return answering("keys", checkpoint, task, problems, prompts=[key.prompt(each) for each in problems])
    except UserError:
        return Work("keys", 0, 0)


def _opened(checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], opening: int) -> Work:
    """Answers to prompts that are followed by an opening of so many tokens."""
    plain = answering("keys", checkpoint, task, problems)
    return plain._replace(read=plain.read + plain.rows * opening, longest=plain.longest + opening)


def _words(text: str, count: int) -> str:
    """The first so many words of a text, with what stands before them; empty where no other follows."""
    ends = [word.end() for word in islice(re.finditer(r"\S+", text), count + 1)]
    return text[: ends[count - 1]] if len(ends) > count else ""


def _commonest(openings: Sequence[str]) -> str:
    counts = Counter(opening for opening in openings if opening)
    return counts.most_common(1)[0][0] if counts else ""
