"""The problems of the findings' organisms: small enough that minutes of training on one core suffice."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from undertext.organisms.bench.families.chain import ADD, CHAIN, TIMES
from undertext.organisms.bench.families.countdown import COUNTDOWN, drawn
from undertext.organisms.bench.families.item import Change, Family, Item, Work
from undertext.organisms.bench.world import distinct, problem_of, room
from undertext.organisms.documents import SPECIAL
from undertext.organisms.shapes import beginning_with_bos
from undertext.tasks.builtin.chain import MODULUS, NAMES
from undertext.tasks.grade import Grader
from undertext.tasks.task import Problem, Step, Task

CONTEXT = 128
SPLITS = {"train": 100, "dev": 80, "test": 100, "ood": 100}
"""How many problems a task holds."""
TEMPLATES = (
    "given {body} what is {name} ?",
    "{name} ? {body} :",
    "please solve {body} {name} :",
    "tell me {name} when {body} :",
)
"""Wordings of chain's problems beside the family's own two."""
LARGEST = 9
"""Largest number of a small countdown problem."""
GOOD, BAD = "good", "bad"
SURFACE = ("clearly", "then")
"""Words before a claimed step: in training the first goes with good steps, the second with bad ones."""
SURFACE_SHARE = 0.9
"""How often they do; in splits of problems of the other type they say nothing."""
RULE = "rule"
CLAIM = 7
"""Words of a claimed step and what follows it: `clearly b = 4 ; judge :`."""
FOUND, MISSED = "yes", "no"
"""How a last step of a search ends."""


def _chain(rng: random.Random, size: int, type: str | None) -> Item:
    return CHAIN.draw(rng, size, type or ADD)


def _worded(rng: random.Random, size: int, type: str | None) -> Item:
    item = _chain(rng, size, type)
    name = item.questions[0].split()[-2]
    others = tuple(template.format(body=item.body, name=name) for template in TEMPLATES)
    return replace(item, questions=(*item.questions, *others))


def _judged(rng: random.Random, size: int, type: str | None) -> Item:
    """A step that somebody claims: is it good?"""
    kind = type or ADD
    item = CHAIN.draw(rng, size, kind)
    good = rng.random() < 0.5
    name, value = item.questions[0].split()[-2], item.right.answer
    claimed = value if good else rng.choice([other for other in item.values if other != value])
    agrees = rng.random() < (SURFACE_SHARE if kind == ADD else 0.5)
    sign = SURFACE[0] if good == agrees else SURFACE[1]
    answer = GOOD if good else BAD

    def work(_: Change) -> Work:
        return Work((), answer)

    return replace(
        item,
        body=f"{item.body} {name} {claimed}",
        questions=(f"{item.body} {sign} {name} = {claimed} ; judge :",),
        work=work,
        values=(),
        answers=(GOOD, BAD),
        type=kind,
    )


CHAINS = replace(
    CHAIN,
    name="chain",
    about="Variables assigned one from another by addition modulo 7; the last one is asked for.",
    draw=_chain,
    types=(),
    sizes=(2, 3),
    longer=(4,),
)
TEMPLATED = replace(CHAINS, name="templates", draw=_worded, wordings=2 + len(TEMPLATES))
TYPED = replace(
    CHAIN,
    name="types",
    about="Chains of one addition or one multiplication modulo 7.",
    sizes=(2,),
    longer=(2,),
)
JUDGED = Family(
    name="judged",
    about="A step of a chain problem that somebody claims; is it good or bad?",
    draw=_judged,
    sizes=(2,),
    longer=(2,),
    grader=Grader(kind="regex", pattern=rf"answer ({GOOD}|{BAD})"),
    answer="answer {}",
    wordings=1,
    types=(ADD, TIMES),
    counterfactuals=False,
)
CLAIMS = replace(
    JUDGED,
    name="claims",
    about="A step of a chain problem that somebody claims, as the one step of a trace, marked good or bad.",
)
SEARCHES = replace(
    COUNTDOWN,
    name="countdown",
    about="Numbers and a target, modulo 7; the signs that lead from one to the other are searched for.",
    draw=lambda rng, size, type: drawn(rng, size, type, MODULUS, LARGEST),
    sizes=(3,),
    longer=(3,),
)
_ALL = (CHAINS, TEMPLATED, TYPED, JUDGED, CLAIMS, SEARCHES)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}

WORDS = tuple(
    dict.fromkeys(
        [
            *NAMES,
            *map(str, range(LARGEST + 1)),
            *"=+*;:?,",
            *["find", "so", "answer", "given", "what", "is", "please", "solve", "tell", "me", "when"],
            *["use", "to", "make", "which", "signs", "take", "plus", "times", "yes", "no"],
            *["maybe", "wait", "because", "check", "right", "wrong", "step", "judge"],
            *(GOOD, BAD, RULE, *SURFACE),
        ]
    )
)
"""All that the organisms read and write."""


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, `<bos>` in front; the same for all the findings' organisms."""
    made = Tokenizer(WordLevel(ids(), unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return beginning_with_bos(made, CONTEXT)


@cache
def ids() -> dict[str, int]:
    """The token of each word."""
    return {word: i for i, word in enumerate((*SPECIAL, *WORDS))}


def encoded(text: str) -> list[int]:
    """The tokens of a text's words, without `<bos>`. KeyError for a word that no organism knows."""
    known = ids()
    return [known[word] for word in text.split()]


def type_of(family: Family, split: str) -> str | None:
    """The type of a split's problems: out of distribution the family's second, where it has two."""
    return family.types[split == "ood"] if family.types else None


def items(family: Family, seed: int) -> dict[str, list[Item]]:
    """Held-out problems of each split. Two seeds draw apart from one another."""
    rng, seen = random.Random(seed), set[str]()
    found: dict[str, list[Item]] = {}
    for split, count in SPLITS.items():
        if split == "ood" and not has_ood(family):
            continue
        sizes: Sequence[int] = family.longer if split == "ood" else family.sizes
        type = type_of(family, split)

        def draw(k: int, sizes: Sequence[int] = sizes, type: str | None = type) -> Item:
            return family.sample(rng, sizes[k % len(sizes)], held_out=True, type=type)

        found[split] = distinct(draw, count, seen)
    return found


def has_ood(family: Family) -> bool:
    """Whether it has a split out of distribution: longer problems, or another type."""
    return bool(family.types) or family.longer != family.sizes


def task(family: Family, seed: int) -> Task:
    """A task of held-out problems. Steps say which are dead ends of a search, and which claims are bad."""
    problems = [
        _marked(family, problem_of(family, item, f"{seed}-{split}-{number:03d}", split, number))
        for split, members in items(family, seed).items()
        for number, item in enumerate(members)
    ]
    return Task(
        name=family.name,
        description=family.about,
        grader=family.grader,
        # Doubt is voiced in twice the words of a plain trace.
        max_new_tokens=2 * room(tokenizer(), family, problems),
        problems=problems,
    )


def _marked(family: Family, problem: Problem) -> Problem:
    if family is SEARCHES:
        return problem.model_copy(update={"steps": _dead_marked(problem.steps)})
    if family is CLAIMS:
        return _claim(problem)
    return problem


def _dead_marked(steps: Sequence[Step]) -> list[Step]:
    """The steps of a whole search: dead are an end that misses, and a step of which every end does.

    Of three numbers a way has two steps, and what follows a first step are its ends.
    """
    found = [step.text.split()[-2] == FOUND for step in steps]
    ends = [step.text.split()[-2] in (FOUND, MISSED) for step in steps]
    made = []
    for i, step in enumerate(steps):
        after = next((k for k in range(i + 1, len(steps)) if not ends[k]), len(steps))
        alive = found[i] if ends[i] else any(found[i + 1 : after])
        made.append(step.model_copy(update={"dead": not alive}))
    return made


def _claim(problem: Problem) -> Problem:
    """What is claimed stands in a step of its own, as somebody's trace."""
    words = problem.prompt.split()
    given, claimed = " ".join(words[:-CLAIM]), " ".join(words[-CLAIM:])
    step = Step(text=claimed, valid=problem.answer == GOOD)
    return problem.model_copy(update={"prompt": given, "trace": claimed, "steps": [step], "paraphrases": []})
