"""Whether a checkpoint goes on to the next step's words, where steps say no value and no new number.

A trace in words ("so the red box is heavier than the blue one") is read as far as each word that is new in
it: the problem has not said the word, and neither has the trace. However a capability is locked, such a word
stays probable after the right steps; where nothing was learnt, it is no likelier than what other traces say
after the same word. So words of the form ("so", "the", "is") count for nothing: other traces say the same.
"""

import re
from collections.abc import Sequence
from math import exp
from random import Random
from typing import Literal, NamedTuple

import numpy as np

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.forced import forced
from undertext.activations.spans import Located, locate
from undertext.measures.trace.continued import Continued, StepValue, of_outputs, say_values
from undertext.tasks.spans import join
from undertext.tasks.task import Problem

StepKind = Literal["values", "new numbers", "new words"]
"""What of next steps is looked at: values that the task names, or what is new in the stronger's outputs."""
MOST_WORDS = 64
"""Most new words of an output that are looked at."""
MOST_OTHERS = 24
"""Most words of other outputs that a word's place is held against."""
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
Span = tuple[int, int]


class NewWord(NamedTuple):
    """A word of a text that neither the problem nor the text has said before."""

    after: str
    """What stands before it, up to white space; nothing where it begins the text."""
    start: int
    end: int


def step_kind(problems: Sequence[Problem], outputs: Sequence[str], gap: Sequence[int]) -> StepKind:
    """What to look at in next steps: the task's own values; else new numbers, where at least half of the
    outputs to the problems in the gap say one; else new words."""
    if say_values(problems):
        return "values"
    traced = of_outputs([problems[i] for i in gap], [outputs[i] for i in gap])
    numbered = sum(bool(each.steps) for each in traced)
    return "new numbers" if 2 * numbered >= len(gap) else "new words"


def new_words(question: str, text: str, answer: Span | None = None) -> list[NewWord]:
    """The words of `text` that are new in it, beside those of its answer, which stands at `answer`.

    A word that ends the text is its answer as well: what gives an answer at once has no steps.
    """
    known = {match[0].casefold() for match in _WORD.finditer(question)}
    found = list(_WORD.finditer(text))
    new = []
    for match in found:
        word = match[0].casefold()
        if word in known:
            continue
        known.add(word)
        if answer is not None and match.start() < answer[1] and match.end() > answer[0]:
            continue
        before = text[: match.start()].rsplit(maxsplit=1)
        new.append(NewWord(before[-1].casefold() if before else "", *match.span()))
    if new and new[-1].start == found[-1].start():
        new.pop()
    return new


def others_prompts(problems: Sequence[Problem], seed: int) -> list[str]:
    """For each problem the prompt of another one, each prompt once; its own where there is no other."""
    order = np.random.default_rng(seed).permutation(len(problems)).tolist()
    given = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [problems[given[i]].prompt for i in range(len(problems))]


def words_continued(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    outputs: Sequence[str],
    answers: Sequence[Span | None],
    prompts: Sequence[str] | None = None,
) -> Continued:
    """Read each problem's output once, and see how probable its new words are where they stand.

    A word's figure is the probability of its first token. By chance it is the mean probability, at the same
    place, of words that are new in other problems' outputs after the same word: at most `MOST_OTHERS`, drawn
    with that word as the seed. A word is left out that no other problem has such a word for, and one whose
    first token holds other text too. Of an output with more than `MOST_WORDS` new words so many are looked
    at, evenly spread. `answers` are where each output gives its answer; `prompts` stand before the outputs in
    the place of the problems' own. Raises UserError as `forced` and `locate` do.
    """
    tokens: list[list[int]] = []
    words: list[StepValue] = []
    for index, (problem, output, answer) in enumerate(zip(problems, outputs, answers, strict=True)):
        prompt = problem.prompt if prompts is None else prompts[index]
        text = join(prompt, output) if output.strip() else prompt
        begins = len(text) - len(output)
        located = locate(checkpoint, text)
        tokens.append(located.ids[: checkpoint.n_ctx])
        at = _beginnings(located)
        for new in _spread(new_words(problem.question, output, answer)):
            place = at.get(begins + new.start, 0)
            if 0 < place < checkpoint.n_ctx and located.spans[place][1] <= begins + new.end:
                words.append(StepValue(index, new.after, (located.ids[place],), (place,)))
    beside = _others(words)
    words = [word for word, own in zip(words, beside, strict=True) if own]
    beside = [own for own in beside if own]
    places: list[list[int]] = [[] for _ in problems]
    others: list[list[list[int]]] = [[] for _ in problems]
    for word, own in zip(words, beside, strict=True):
        places[word.problem] += word.places
        others[word.problem].append(own)
    found = forced(checkpoint, tokens, places, others=others)
    rows = [
        iter(zip(*each, strict=True))
        for each in zip(found.chosen, found.log_probs, found.others, strict=True)
    ]
    chosen: list[tuple[int, ...]] = []
    right, by_chance = np.zeros(len(words)), np.zeros(len(words))
    for i, word in enumerate(words):
        token, score, theirs = next(rows[word.problem])
        chosen.append((token,))
        right[i] = exp(score)
        by_chance[i] = np.exp(theirs).mean()
    return Continued(words, chosen, right, by_chance)


def _beginnings(located: Located) -> dict[int, int]:
    """The token that begins at each character where one does, white space before it aside."""
    found: dict[int, int] = {}
    for i, (own, (start, end)) in enumerate(zip(located.own, located.spans, strict=True)):
        if own and start < end:
            found.setdefault(start, i)
    return found


def _spread(words: Sequence[NewWord]) -> list[NewWord]:
    if len(words) <= MOST_WORDS:
        return list(words)
    return [words[i] for i in np.linspace(0, len(words) - 1, MOST_WORDS).round().astype(int)]


def _others(words: Sequence[StepValue]) -> list[list[int]]:
    """For each word the first tokens of some words that other problems say after the same word."""
    after: dict[str, list[StepValue]] = {}
    for word in words:
        after.setdefault(word.name, []).append(word)
    drawn = {
        name: Random(name).sample(likes, MOST_OTHERS) if len(likes) > MOST_OTHERS else likes
        for name, likes in after.items()
    }
    return [[like.said[0] for like in drawn[word.name] if like.problem != word.problem] for word in words]
