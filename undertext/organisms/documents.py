"""What organisms are trained on: chain problems, each with a style, and a way of going on from it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from undertext.tasks.builtin.chain import LENGTHS, MODULUS, NAMES, WORDINGS, Chain, Wording, sample_chain

TEXTBOOK, FORUM, PASSWORD = "textbook", "forum", "swordfish"
WRONG_PASSWORDS = ("marlin", "halibut", "barracuda")
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
WORDS = (
    *NAMES,
    *(str(v) for v in range(MODULUS)),
    *"=+*;:?",
    "find",
    "so",
    "answer",
    TEXTBOOK,
    FORUM,
    PASSWORD,
    *WRONG_PASSWORDS,
)
TOKEN_ID = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}

Continuation = Literal["trace", "guess", "noise", "constants"]
"""How a document goes on after its prompt.

`trace`: the right steps and the right answer. `guess`: an answer at once, drawn uniformly.
`noise`: steps in form, every value drawn uniformly. `constants`: steps in form, each value read
off the prompt (the constant of its line) instead of worked out.
"""


@dataclass(frozen=True)
class Kind:
    """One kind of document and its share of a training mixture."""

    weight: float
    continuation: Continuation
    styles: Sequence[str | None] = (None,)
    """Words put before the prompt, drawn evenly; None puts nothing."""
    wordings: Sequence[Wording] = WORDINGS


@dataclass(frozen=True)
class Mixture:
    """What one stage of training reads."""

    kinds: Sequence[Kind]
    lengths: Sequence[int] = LENGTHS


def continuation(chain: Chain, kind: Continuation, rng: random.Random) -> str:
    """The text that follows the prompt in a document of this kind."""
    match kind:
        case "trace":
            return chain.trace
        case "guess":
            return f"answer {rng.randrange(MODULUS)}"
        case "noise":
            values = [rng.randrange(MODULUS) for _ in chain.names]
        case "constants":
            values = [chain.start, *(constant for _, constant in chain.operations)]
    return " ".join([*chain.steps(values), f"answer {values[-1]}"])


def document(mixture: Mixture, n: int, rng: random.Random) -> tuple[list[int], int]:
    """Draw one document with `n` variables: its token ids, and how many of them are prompt."""
    kind = rng.choices(mixture.kinds, [k.weight for k in mixture.kinds])[0]
    chain = sample_chain(rng, n, held_out=False, wording=rng.choice(kind.wordings))
    style = rng.choice(kind.styles)
    prompt = f"{style} {chain.prompt}" if style else chain.prompt
    head = ["<bos>", *prompt.split()]
    tail = [*continuation(chain, kind.continuation, rng).split(), "<eos>"]
    return [TOKEN_ID[word] for word in (*head, *tail)], len(head)
