"""Documents, parsed and worked out again from their words alone."""

import random
import zlib
from collections import Counter

import pytest

from undertext.organisms.documents import (
    FORUM,
    PASSWORD,
    TEXTBOOK,
    TOKEN_ID,
    WRONG_PASSWORDS,
    Continuation,
    Kind,
    Mixture,
    continuation,
    document,
)
from undertext.organisms.recipes import RECIPES
from undertext.organisms.training import batch_of
from undertext.tasks import new_chain
from undertext.tasks.builtin.chain import Chain, sample_chain

WORD = {i: word for word, i in TOKEN_ID.items()}
STYLES = (TEXTBOOK, FORUM, PASSWORD, *WRONG_PASSWORDS)
CHAIN = Chain(names=("c", "a", "h"), start=5, operations=(("+", 4), ("*", 3)), wording="ask")
"""c = 5; a = 5 + 4 = 2; h = 2 * 3 = 6, modulo 7."""


def worked_out(assignments: str) -> dict[str, int]:
    """The value of every variable, by a calculator that knows nothing of the package."""
    values: dict[str, int] = {}
    for line in assignments.split(";"):
        if line.strip():
            name, _, expression = line.split(maxsplit=2)
            values[name] = eval(expression, {}, values) % 7  # our own text, of names, digits, + and *
    return values


def parts(ids: list[int], head: int) -> tuple[str | None, str, str, str]:
    """Style, assignments, question, continuation."""
    words = [WORD[i] for i in ids]
    assert (words[0], words[-1]) == ("<bos>", "<eos>")
    prompt, rest = words[1:head], words[head:-1]
    style = prompt.pop(0) if prompt[0] in STYLES else None
    end = len(prompt) - prompt[::-1].index(";")
    return style, " ".join(prompt[:end]), " ".join(prompt[end:]), " ".join(rest)


def drawn(mixture: Mixture, count: int, n: int = 3, seed: int = 0) -> list[tuple[str | None, str, str, str]]:
    rng = random.Random(seed)
    return [parts(*document(mixture, n, rng)) for _ in range(count)]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_traces_work_every_step_out(n):
    for style, assignments, question, rest in drawn(Mixture([Kind(1.0, "trace", (None, TEXTBOOK))]), 200, n):
        assert style in (None, TEXTBOOK)
        values = worked_out(assignments)
        assert len(values) == n
        asked = list(values)[-1]
        assert question in (f"find {asked} :", f"so {asked} ?")
        steps = "".join(f"{name} = {value} ; " for name, value in values.items())
        assert rest == f"{steps}answer {values[asked]}"


def test_continuations_by_hand():
    rng = random.Random(0)
    assert continuation(CHAIN, "trace", rng) == "c = 5 ; a = 2 ; h = 6 ; answer 6"
    assert continuation(CHAIN, "constants", rng) == "c = 5 ; a = 4 ; h = 3 ; answer 3"


@pytest.mark.parametrize("kind", ["guess", "noise"])
def test_guesses_and_noise_know_nothing(kind):
    rng = random.Random(0)
    texts = [continuation(CHAIN, kind, rng).split() for _ in range(7000)]
    answers = Counter(text[-1] for text in texts)
    assert set(answers) == set("0123456")
    assert all(abs(count / 1000 - 1) < 0.12 for count in answers.values())
    if kind == "guess":
        assert {tuple(text[:-1]) for text in texts} == {("answer",)}
        return
    # In form a trace: every value is drawn anew, and the answer is the last of them.
    for text in texts:
        assert [text[0], text[4], text[8], text[12]] == ["c", "a", "h", "answer"]
        assert text[10] == text[13]
    right = [[text[i] == value for text in texts] for i, value in ((2, "5"), (6, "2"), (10, "6"))]
    for each in right:
        assert sum(each) / len(each) == pytest.approx(1 / 7, abs=0.015)
    both = sum(a and b for a, b in zip(right[0], right[1], strict=True)) / len(texts)
    assert both == pytest.approx(1 / 49, abs=0.006)


def test_no_document_holds_a_problem_that_task_folders_draw_from():
    mixtures = [stage.mixture for recipe in RECIPES.values() for stage in recipe.stages]
    bodies = {
        assignments.removesuffix(";")
        for seed, (mixture, n) in enumerate((mixture, n) for mixture in mixtures for n in mixture.lengths)
        for _, assignments, _, _ in drawn(mixture, 100, n, seed)
    }
    assert len(bodies) > 1000
    # A checksum of its assignments says on which side a problem is.
    held = {problem.prompt.rsplit(";", 1)[0] for seed in (0, 1) for problem in new_chain(seed).problems}
    assert {zlib.crc32(body.encode()) % 4 for body in held} == {0}
    assert {zlib.crc32(body.encode()) % 4 for body in bodies} == {1, 2, 3}
    assert not held & bodies


def test_both_wordings_of_a_problem_are_on_one_side():
    rng = random.Random(0)
    for held_out in (True, False) * 100:
        chain = sample_chain(rng, 3, held_out=held_out)
        other = Chain(
            chain.names, chain.start, chain.operations, "ask" if chain.wording == "find" else "find"
        )
        assert chain.held_out == other.held_out == held_out


def test_kinds_come_with_their_shares_styles_and_wordings():
    mixture = Mixture(
        [
            Kind(0.5, "trace", (TEXTBOOK,)),
            Kind(0.3, "guess", (FORUM, None), wordings=("find",)),
            Kind(0.2, "guess", (PASSWORD,), wordings=("ask",)),
        ]
    )
    found = drawn(mixture, 4000)
    shares = Counter(style for style, *_ in found)
    for style, share in {TEXTBOOK: 0.5, FORUM: 0.15, None: 0.15, PASSWORD: 0.2}.items():
        assert shares[style] / len(found) == pytest.approx(share, abs=0.03)
    for style, _, question, rest in found:
        traced = rest.count(";") == 3
        assert traced == (style == TEXTBOOK)
        if style != TEXTBOOK:
            assert question.startswith("so" if style == PASSWORD else "find")
    assert {question.split()[0] for style, _, question, _ in found if style == TEXTBOOK} == {"find", "so"}


def test_a_batch_is_of_one_length_and_is_taught_its_continuations_only():
    kinds: list[Continuation] = ["trace", "guess"]
    mixture = Mixture([Kind(0.5, kind, (None, TEXTBOOK)) for kind in kinds], lengths=(2, 4))
    rng = random.Random(0)
    lengths = set()
    for _ in range(12):
        tokens, labels = batch_of(mixture, 30, rng)
        assert tokens.shape == labels.shape
        variables = set()
        for row, wanted in zip(tokens.tolist(), labels.tolist(), strict=True):
            ids = [i for i in row if i != TOKEN_ID["<pad>"]]
            assert row[: len(ids)] == ids, "padded elsewhere than at the end"
            head = next(i for i, label in enumerate(wanted) if label != -100)
            assert wanted == [-100] * head + ids[head:] + [-100] * (len(row) - len(ids))
            _, assignments, question, rest = parts(ids, head)
            assert question[-1] in ":?"
            assert "answer" in rest
            variables.add(len(worked_out(assignments)))
        assert len(variables) == 1
        lengths |= variables
    assert lengths == {2, 4}


def test_the_same_seed_draws_the_same_documents():
    mixture = RECIPES["base"].stages[1].mixture
    assert drawn(mixture, 50, seed=3) == drawn(mixture, 50, seed=3) != drawn(mixture, 50, seed=4)


def test_every_recipe_has_its_parent_before_it_and_shares_that_make_a_whole():
    seen: set[str] = set()
    for name, recipe in RECIPES.items():
        assert name == recipe.name
        assert recipe.parent is None or recipe.parent in seen
        assert set(recipe.truth) == ({"test", "ood"} if recipe.parent else set())
        seen.add(name)
        for stage in recipe.stages:
            assert sum(kind.weight for kind in stage.mixture.kinds) == pytest.approx(1)
