"""The built-in `chain` task as a task folder's contents."""

import random
from itertools import islice

from activations.errors import UserError
from undertext.tasks.chain import LENGTHS, OOD_LENGTHS, Chain, distinct_chains
from undertext.tasks.fields import Value
from undertext.tasks.grader import Grader
from undertext.tasks.task import Contrast, Problem, Step, Task

MOST_PROBLEMS = 2400
"""Most problems of train, dev and test together: a third have two variables, and 1,078 such are held out."""


def new_chain(seed: int, train: int = 400, dev: int = 120, test: int = 300, ood: int = 400) -> Task:
    """Draw a `chain` task: so many problems for each split, no two with the same assignments.

    train, dev and test have `LENGTHS` variables, ood `OOD_LENGTHS`, in turn, and both wordings in
    turn. Raises `UserError` for fewer than one problem in train, dev or test, or for too many.
    """
    counts = {"train": train, "dev": dev, "test": test}
    if min(counts.values()) < 1 or sum(counts.values()) > MOST_PROBLEMS:
        wanted = f"at least one problem each and at most {MOST_PROBLEMS} together"
        got = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UserError(f"a chain task has {wanted} in train, dev and test, got {got}")
    if ood < 0:
        raise UserError(f"a chain task has 0 or more problems in ood, got {ood}")
    rng = random.Random(seed)
    # One stream for three splits keeps them apart; ood's lengths keep it apart from them.
    chains = distinct_chains(rng, sum(counts.values()), LENGTHS)
    drawn = {split: list(islice(chains, count)) for split, count in counts.items()}
    drawn["ood"] = list(distinct_chains(rng, ood, OOD_LENGTHS))
    return Task(
        name="chain",
        description="Variables assigned one from another by arithmetic modulo 7; the last one is asked for.",
        grader=Grader(kind="regex", pattern=r"answer (\d+)"),
        max_new_tokens=32,
        contrasts=[Contrast(name="textbook", positive="textbook {prompt}", negative="forum {prompt}")],
        problems=[
            _problem(f"{split}-{number:04d}", split, chain)
            for split, members in drawn.items()
            for number, chain in enumerate(members)
        ],
    )


def _problem(id: str, split: str, chain: Chain) -> Problem:
    values: dict[str, Value] = {f"v{number}": v for number, v in enumerate(chain.values, 1) if number > 1}
    return Problem(
        id=id,
        split=split,
        prompt=chain.prompt,
        answer=chain.answer,
        trace=chain.trace,
        steps=[
            # One name for all: whatever its place in the chain, it is the value about to be written. The
            # first is none of these: the prompt states it, and copying is not what is asked about.
            Step(
                text=text,
                values={"value": value} if number else {},
                counterfactuals={"value": chain.answers_if(number)} if number else {},
            )
            for number, (text, value) in enumerate(zip(chain.steps(), chain.values, strict=True))
        ],
        values=values,
        counterfactuals={f"v{number}": chain.answers_if(number - 1) for number in range(2, len(values) + 2)},
        type=chain.wording,
    )
