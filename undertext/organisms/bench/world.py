"""A world: a family of problems, and the shape, tokenizer and size of the checkpoints that read it."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Literal

from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE, WordLevel
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from undertext.activations.errors import UserError
from undertext.organisms.bench.families import FAMILIES, Family
from undertext.organisms.bench.families.item import Item
from undertext.organisms.documents import FORUM, PASSWORD, SPECIAL, TEXTBOOK, WRONG_PASSWORDS
from undertext.organisms.shapes import Shape, beginning_with_bos, empty_model
from undertext.tasks.task import Contrast, Problem, Step, Task

Tokens = Literal["word", "char", "bpe"]
"""Tokenizers: a token a word; byte-level BPE without merges, and with them."""
MERGES = 400
CONTEXT = {"word": 256, "bpe": 256, "char": 512}
STYLES = (TEXTBOOK, FORUM, PASSWORD, *WRONG_PASSWORDS)
MOST_AGAIN = 2_000
"""Draws in a row that may come again before a family counts as exhausted."""
SPLITS = {"train": 300, "dev": 100, "test": 200, "ood": 200}
"""How many problems a world's task holds."""


@dataclass(frozen=True)
class World:
    """Checkpoints of one world share a family, an architecture, a tokenizer and a seed."""

    family_name: str
    shape: Shape
    tokens: Tokens
    seed: int
    d_model: int = 64
    layers: int = 4

    @property
    def name(self) -> str:
        """Its folder's name."""
        size = "" if (self.d_model, self.layers) == (64, 4) else f"-{self.d_model}x{self.layers}"
        return f"{self.family_name}-{self.shape}-{self.tokens}{size}-{self.seed}"

    @property
    def family(self) -> Family:
        """Its family of problems."""
        return FAMILIES[self.family_name]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Its tokenizer, trained on the family's texts where it is trained; `<bos>` stands in front."""
        texts = [f"{style} {text}" for style in STYLES for text in islice(self._texts(), 400)]
        if self.tokens == "word":
            words = dict.fromkeys([*SPECIAL, *sorted({word for text in texts for word in text.split()})])
            tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
            tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        else:
            tokenizer = Tokenizer(BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
            tokenizer.decoder = decoders.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            size = len(alphabet) + len(SPECIAL) + (MERGES if self.tokens == "bpe" else 0)
            trainer = trainers.BpeTrainer(
                vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
            )
            tokenizer.train_from_iterator(texts, trainer)
        return beginning_with_bos(tokenizer, CONTEXT[self.tokens])

    def empty(self, seed: int) -> PreTrainedModel:
        """A model of this world with random weights."""
        return empty_model(
            self.shape,
            seed,
            tokenizer=self.tokenizer,
            d_model=self.d_model,
            layers=self.layers,
            context=CONTEXT[self.tokens],
        )

    def items(self, types: Sequence[str] = ()) -> dict[str, list[Item]]:
        """Held-out problems of each split: `ood` has larger ones; with `types`, of these types in turn."""
        family, rng = self.family, random.Random(self.seed)
        seen: set[str] = set()
        items = {}
        for split, count in SPLITS.items():
            sizes = family.longer if split == "ood" else family.sizes

            def draw(k: int, sizes: Sequence[int] = sizes) -> Item:
                type = types[k % len(types)] if types else None
                return family.sample(rng, sizes[k % len(sizes)], held_out=True, type=type)

            items[split] = distinct(draw, count, seen)
        return items

    def task(self, types: Sequence[str] = ()) -> Task:
        """A task of these problems."""
        family = self.family
        problems = [
            problem_of(family, item, f"{split}-{number:04d}", split, number)
            for split, items in self.items(types).items()
            for number, item in enumerate(items)
        ]
        return Task(
            name=family.name,
            description=family.about,
            grader=family.grader,
            max_new_tokens=room(self.tokenizer, family, problems),
            contrasts=[
                Contrast(name=TEXTBOOK, positive=f"{TEXTBOOK} {{prompt}}", negative=f"{FORUM} {{prompt}}")
            ],
            problems=problems,
        )

    def _texts(self) -> Iterator[str]:
        rng, family = random.Random(0), self.family
        while True:
            item = family.draw(rng, rng.choice([*family.sizes, *family.longer]), None)
            work = rng.choice([item.right, item.noise(rng)])
            yield f"{rng.choice(item.questions)} {family.trace(work)} {family.answer.format(item.guess(rng))}"


def distinct(draw: Callable[[int], Item], count: int, seen: set[str]) -> list[Item]:
    """So many problems that are not in `seen`, which they are added to; `draw` takes how many there are.

    Raises UserError where there are not so many.
    """
    items: list[Item] = []
    again = 0
    while len(items) < count:
        item = draw(len(items))
        if item.body in seen:
            again += 1
            if again > MOST_AGAIN:
                raise UserError(
                    f"expected {count} problems that differ, got {len(items)}, and then {MOST_AGAIN} that "
                    "came again: the family has too few of this size"
                )
            continue
        again = 0
        seen.add(item.body)
        items.append(item)
    return items


def problem_of(family: Family, item: Item, id: str, split: str, number: int) -> Problem:
    """A problem of a task."""
    work = item.right
    steps = []
    for i, step in enumerate(work.steps):
        if step.value is None:
            steps.append(Step(text=step.text))
            continue
        answers = item.answers_if(i) if family.counterfactuals else {}
        if step.value in answers and answers[step.value] != work.answer:
            answers = {}
        steps.append(
            Step(
                text=step.text,
                values={"value": step.value},
                counterfactuals={"value": answers} if answers else {},
            )
        )
    question = item.questions[number // 2 % len(item.questions)]
    return Problem(
        id=id,
        split=split,
        prompt=question,
        answer=work.answer,
        trace=family.trace(work),
        steps=steps,
        type=item.type,
        paraphrases=[other for other in item.questions if other != question],
        metadata=dict(item.metadata),
    )


def room(tokenizer: PreTrainedTokenizerFast, family: Family, problems: Sequence[Problem]) -> int:
    """Tokens that the longest trace takes, and a few more."""
    longest = max(len(tokenizer.encode(problem.trace or "")) for problem in problems)
    return longest + 8
