"""Whether a checkpoint goes on to the next step's words, where steps say no value and no new number.

A trace in words ("so the red box is heavier than the blue one") is read as far as each word that is new in
it: the problem has not said the word, and neither has the trace. However a capability is locked, such a word
stays probable after the right steps; where nothing was learnt, it is no likelier than what other traces say
after the same word. So words of the form ("so", "the", "is") count for nothing: other traces say the same.
"""

import re
from collections import Counter
from collections.abc import Sequence
from math import exp
from typing import Literal, NamedTuple, get_args

import numpy as np

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.forced import forced
from undertext.activations.spans import TextSpan, locate, tokens_holding
from undertext.measures.trace.continued import Continued, StepValue, of_outputs, say_values
from undertext.tasks.spans import join
from undertext.tasks.task import Problem

StepKind = Literal["values", "new numbers", "new words"]
"""What of next steps is looked at: values that the task names, or what is new in the stronger's outputs."""
STEP_KINDS: tuple[StepKind, ...] = get_args(StepKind)
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
        before = text[: match.start()].split()
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
    place, of the words that are new in other problems' outputs after the same word; a word that no other
    problem has such a word for is left out, and so is one whose first token holds other text too. `answers`
    are where each output gives its answer; `prompts` stand before the outputs in the place of the problems'
    own. Raises UserError as `forced` and `locate` do.
    """
    tokens: list[list[int]] = []
    words: list[StepValue] = []
    for index, (problem, output, answer) in enumerate(zip(problems, outputs, answers, strict=True)):
        prompt = problem.prompt if prompts is None else prompts[index]
        text = join(prompt, output) if output.strip() else prompt
        begins = len(text) - len(output)
        located = locate(checkpoint, text)
        tokens.append(located.ids[: checkpoint.n_ctx])
        for new in new_words(problem.question, output, answer):
            span = TextSpan(begins + new.start, begins + new.end)
            place, *_ = tokens_holding(located, span) or [0]
            start, end = located.spans[place]
            if 0 < place < checkpoint.n_ctx and span.start == start and end <= span.end:
                words.append(StepValue(index, new.after, (located.ids[place],), (place,)))
    said = Counter((word.name, word.said[0]) for word in words)
    own = Counter((word.problem, word.name, word.said[0]) for word in words)
    after: dict[str, list[int]] = {}
    for name, token in said:
        after.setdefault(name, []).append(token)

    def weights(word: StepValue) -> list[int]:
        """How often other problems say each of the tokens after the same word."""
        return [said[word.name, each] - own[word.problem, word.name, each] for each in after[word.name]]

    words = [word for word in words if any(weights(word))]
    places: list[list[int]] = [[] for _ in problems]
    others: list[list[list[int]]] = [[] for _ in problems]
    for word in words:
        places[word.problem] += word.places
        others[word.problem].append(after[word.name])
    found = forced(checkpoint, tokens, places, others=others)
    rows = [
        iter(zip(*each, strict=True))
        for each in zip(found.chosen, found.log_probs, found.others, strict=True)
    ]
    chosen: list[tuple[int, ...]] = []
    right, by_chance = np.zeros(len(words)), np.zeros(len(words))
    for i, word in enumerate(words):
        token, score, beside = next(rows[word.problem])
        chosen.append((token,))
        right[i] = exp(score)
        by_chance[i] = np.average(np.exp(beside), weights=weights(word))
    return Continued(words, chosen, right, by_chance)
