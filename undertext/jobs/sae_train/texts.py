"""Texts that a job on features reads: a task's, or the lines of a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line
from undertext.activations.store import tokens_fingerprint
from undertext.jobs.sae_train.config import TrainConfig
from undertext.tasks.draws import drawn
from undertext.tasks.prompts import ask
from undertext.tasks.task import Task
from undertext.tasks.value_positions import reading_text


class Texts(NamedTuple):
    """Token ids by key, to train on, and those that the loss is measured on."""

    train: dict[str, list[int]]
    held_out: list[list[int]]
    read: list[str]
    """All of them as they are written."""

    def fingerprint(self) -> int:
        """A number that stands for all of them."""
        return tokens_fingerprint([token for ids in [*self.train.values(), *self.held_out] for token in ids])


def texts_of(checkpoint: Checkpoint, source: Task | Path, config: TrainConfig) -> Texts:
    """Prompts with their traces, or a file's lines, those longer than the context in pieces of it.

    UserError for a split the task lacks, one that would be both trained and measured on, texts that do not
    fit, a file that cannot be read, and one in which nothing is left to measure on.
    """
    if isinstance(source, Task):
        if config.loss_split in config.splits:
            raise UserError(
                f"the loss is measured on texts not trained on: {config.loss_split!r} is in splits"
            )
        (checkpoint,), (source,), _ = ask(source, [checkpoint], [config.asked_as], config.seed)
        problems = [problem for split in config.splits for problem in source.split(split)]
        held = drawn(source.split(config.loss_split), config.seed, config.loss_texts)
        read = [reading_text(problem) for problem in [*problems, *held]]
        ids = checkpoint.encode(read)
        train = {problem.id: each for problem, each in zip(problems, ids, strict=False)}
        held_out = ids[len(problems) :]
    else:
        read = _lines(source)
        pieces = _pieces(checkpoint, source, read)
        # Of a short file a tenth is held out, of a long one no more than is asked for.
        kept = min(config.loss_texts, max(1, len(pieces) // 10))
        train = {f"{i:08}": ids for i, ids in enumerate(pieces[:-kept])}
        held_out = pieces[-kept:]
    train = {key: ids for key, ids in train.items() if len(ids) > config.skip}
    if not train:
        raise UserError(
            f"no text of {source if isinstance(source, Path) else source.name} is left to train on"
        )
    return Texts(train, held_out, read)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the texts in {shown(file)}: {one_line(error)}") from error


def _pieces(checkpoint: Checkpoint, file: Path, lines: Sequence[str]) -> list[list[int]]:
    pieces: list[list[int]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                ids: Sequence[int] = checkpoint.tokenizer.encode(line, verbose=False)
            # The tokenizers library raises bare Exceptions, as for a word outside a vocabulary without <unk>.
            except Exception as error:
                raise UserError(
                    f"{file}:{number}: {checkpoint.name} cannot encode it: {one_line(error)}"
                ) from error
            pieces += [list(ids[at : at + checkpoint.n_ctx]) for at in range(0, len(ids), checkpoint.n_ctx)]
    return checkpoint.encode(pieces)
