"""Writing on from prompts in batches, each row with its own interventions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch

from undertext.activations.activation_recording import Recorded, Recorder, RecordSpec
from undertext.activations.batching import fits
from undertext.activations.capture import Captured
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import check_list, check_whole, is_whole
from undertext.activations.errors import UserError, shown
from undertext.activations.hooks import check_points, hooked
from undertext.activations.interventions import Intervention
from undertext.activations.passes import Passes
from undertext.activations.rope import writing_kinds
from undertext.activations.sampling import Sampler, Stopping
from undertext.activations.steered_rows import Touched, check_interventions
from undertext.activations.writing import NotANumber, Writing

_TOGETHER = 2048
"""Most rows whose interventions are held at once: those that are written, and those that wait for a place."""


@dataclass(frozen=True)
class Generations:
    """What was written, by row: the samples of the first prompt, then those of the second, and so on."""

    texts: list[str]
    """Text up to the end token or the first stop string, neither included; other special tokens are in it."""
    tokens: list[list[int]]
    """The whole tokens of that text."""
    touched: list[int]
    """At how many tokens, prompt and generated, interventions changed the row; and"""
    touched_prompt: list[int]
    """at how many of its prompt alone."""
    steered: list[int]
    """How many generated tokens were chosen in a pass that interventions changed: a pass reads one token and
    chooses the next, so the prompt's last token counts here, and those before it do not."""
    produced: list[int]
    """Of how many generated tokens: those of `tokens`, and those that ended the row, which stand nowhere."""
    margins: list[list[float]] | None = None
    """For each of those tokens, p(likeliest) - p(second likeliest) where it was chosen, at temperature 1."""
    captured: Captured | None = None
    """What was to be recorded; its positions count from the beginning of the prompt."""

    @property
    def cut(self) -> list[bool]:
        """Whether a row was cut at `max_new_tokens`: neither an end token nor a stop string ended it."""
        return [len(tokens) == count for tokens, count in zip(self.tokens, self.produced, strict=True)]


def generate(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    samples: int = 1,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | Sequence[int] = 0,
    interventions: Sequence[Intervention | Sequence[Intervention] | None] | None = None,
    record: RecordSpec | None = None,
    openings: Sequence[int] | None = None,
    margins: bool = False,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Generations:
    """Write up to `max_new_tokens` after each prompt.

    Rows that begin alike share what they read of their prompt. Where rows have ended, others take their
    places in the batch: the cost is that of the tokens written, not of the longest row. In float32 a row is
    what it would be alone, whatever stands beside it. In a shorter format the last bits of its logits hang
    on the batch's shape, and where two tokens are about as likely, so may the choice between them. Where
    memory does not do, fewer rows are written at a time.

    Args:
        checkpoint: what writes.
        prompts: texts, or token ids.
        max_new_tokens: most tokens a row writes.
        stop: strings that end a row.
        samples: rows for each prompt.
        temperature: 0 for the likeliest token, otherwise what logits are divided by before a draw.
        top_p: a draw is among the fewest likeliest tokens that hold this much probability.
        seed: one number, and a row draws by it, its prompt's index and its sample's; or one for each
            prompt, and a row draws by its own and its sample's, wherever its prompt stands. Never by its
            batch.
        interventions: for each prompt one, several, or None; they act in all its samples.
        record: what to keep of the activations, as interventions leave them.
        openings: for each prompt, the token that its rows begin with, whatever would have been chosen.
        margins: whether to say how wide each choice was.
        batch_size: most rows that are generated together.
        progress: called with the number of rows finished since its last call.

    Raises:
        UserError: for a prompt that leaves no room in the context or does not fit in memory, an
            intervention that the model has no place for, and NaN in a row's logits.
        RuntimeError: when interventions were not asked at exactly the tokens they were to act at.
    """
    for name, value in (("max_new_tokens", max_new_tokens), ("samples", samples), ("batch_size", batch_size)):
        check_whole(name, value, 1)
    encoded = checkpoint.encode(prompts, room=max_new_tokens)
    acting = check_interventions(
        checkpoint, [None] * len(encoded) if interventions is None else interventions, encoded
    )
    streams = _streams(seed, len(encoded), samples)
    if record is not None:
        check_points(checkpoint, record.points)
    _check_openings(checkpoint, openings, len(encoded))
    stopping = Stopping(checkpoint, stop)
    owner = [prompt for prompt in range(len(encoded)) for _ in range(samples)]
    tokens: list[list[int]] = [[] for _ in owner]
    texts, count, kept = [""] * len(owner), [0] * len(owner), Recorded()
    touched = [Touched(0, 0, 0)] * len(owner)
    wide: list[list[float]] = [[] for _ in owner]
    # Rows of one prompt next to each other, so that they meet in a batch and share it.
    first: dict[tuple[int, ...], int] = {}
    order = sorted(
        range(len(owner)), key=lambda row: first.setdefault(tuple(encoded[owner[row]]), len(first))
    )

    def run(rows: list[int], width: int) -> Writing:
        those = [encoded[owner[row]] for row in rows]
        recorder = Recorder(record, [len(ids) for ids in those]) if record else None
        sampler = Sampler(temperature, top_p, [streams[row] for row in rows], max_new_tokens)
        begun = None if openings is None else [openings[owner[row]] for row in rows]
        each = [acting[owner[row]] for row in rows]
        passes = Passes(checkpoint, those, each, recorder)
        writing = Writing(passes, begun, margins, width=width)

        def write(writing: Writing) -> None:
            with torch.inference_mode(), ExitStack() as stack:
                for hooks in passes.hooks:
                    stack.enter_context(hooked(checkpoint, hooks))
                writing.run(max_new_tokens, sampler, stopping, progress or (lambda finished: None))

        try:
            fits(write, writing)
        except NotANumber as error:
            row = owner[rows[error.args[0]]]
            doses = ", ".join(f"{each.operator} {each.dose} at {each.point}" for each in acting[row])
            with_doses = f" with {doses}" if doses else ""
            raise UserError(f"{checkpoint.name}: NaN in the logits of prompt {row}{with_doses}") from None
        ended = [at for at, finished in enumerate(writing.finished) if finished]
        read_back = {at: len(writing.produced[at]) - 1 for at in ended}
        for at, where in passes.steered.audit(read_back).items():
            row, produced = rows[at], writing.produced[at]
            tokens[row], texts[row] = stopping.cut(produced)
            touched[row], count[row] = where, len(produced)
            if writing.margins is not None:
                wide[row] = writing.margins[at][: len(tokens[row])]
        if recorder is not None:
            kept.add(recorder.kept, {at: rows[at] for at in ended})
        return writing

    width, lengths = batch_size, [len(encoded[owner[row]]) for row in order]
    for waiting in _together(checkpoint, order, lengths, max_new_tokens, width):
        while waiting:
            writing = run(waiting, width)
            waiting = [row for row, ended in zip(waiting, writing.finished, strict=True) if not ended]
            # Only where memory ran out has a row not ended: those go on with fewer at a time.
            if waiting and writing.most == 1:
                prompt = owner[waiting[0]]
                raise UserError(
                    f"prompt {prompt} alone, of {len(encoded[prompt])} tokens, does not fit in memory: "
                    "shorten it, write fewer tokens, or use a device with more memory"
                )
            width = max(1, writing.most // 2) if waiting else width
    return Generations(
        texts,
        tokens,
        [each.all for each in touched],
        [each.before + each.last for each in touched],
        [each.choosing for each in touched],
        count,
        wide if margins else None,
        kept.captured(checkpoint, record) if record else None,
    )


def _check_openings(checkpoint: Checkpoint, openings: Sequence[int] | None, prompts: int) -> None:
    if openings is None:
        return
    check_list("openings", openings, int, "token ids, one for each prompt")
    if len(openings) != prompts:
        raise UserError(f"expected an opening token for each of {prompts} prompts, got {len(openings)}")
    if bad := [token for token in openings if not 0 <= token < checkpoint.d_vocab]:
        raise UserError(f"openings hold token id {bad[0]}, valid are 0 to {checkpoint.d_vocab - 1}")


def _streams(seed: int | Sequence[int], prompts: int, samples: int) -> list[tuple[int, ...]]:
    """The seeds of every row's random stream."""
    if is_whole(seed):
        one: Any = seed
        return [(int(one), prompt, sample) for prompt in range(prompts) for sample in range(samples)]
    if not isinstance(seed, Sequence) or not all(map(is_whole, seed)):
        raise UserError(
            f"expected one seed, or one for each of {prompts} prompts, got {shown(repr(seed), 60)}"
        )
    if len(seed) != prompts:
        raise UserError(f"expected one seed, or one for each of {prompts} prompts, got {len(seed)}")
    return [(int(own), sample) for own in seed for sample in range(samples)]


def _together(
    checkpoint: Checkpoint, rows: Sequence[int], lengths: Sequence[int], steps: int, width: int
) -> Iterator[list[int]]:
    """Rows that can take each other's places, the longest first."""
    kinds = dict(zip(rows, writing_kinds(checkpoint, lengths, steps), strict=True))
    length = dict(zip(rows, lengths, strict=True))
    ordered = sorted(rows, key=lambda row: -length[row])
    while ordered:
        kind = kinds[ordered[0]]
        # Rows that cross a switch of the rope do so together: none comes in later.
        most = width if len(kind) > 1 else max(width, _TOGETHER)
        some = [row for row in ordered[:most] if kinds[row] == kind]
        some = some[: next((i for i, row in enumerate(some) if row != ordered[i]), len(some))]
        del ordered[: len(some)]
        yield some
