"""What scoring answers along traces, and answering after changes of traces, reads before it is done.

The task's own traces are known. Outputs are not: they have no more tokens than they may, and no more steps
than half as many.
"""

from collections.abc import Mapping, Sequence

from undertext.activations.branch_methods import holds, windows_of
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.rope import rope_switches
from undertext.core.plan import Work
from undertext.measures.trace.changes import SENTENCES, Change, changed
from undertext.measures.trace.dependence import ROOM
from undertext.measures.trace.trails import Trail
from undertext.tasks.task import Problem, Task
from undertext.tasks.work import CHECKED, CHECKS, tokens_of

JOINED = 2
"""Most tokens more that two texts have as one than apart."""
_OUTPUTS = "outputs are read as long as they are, with as many steps as they have"


def gold_along(
    stage: str, checkpoint: Checkpoint, trails: Mapping[int, Trail], lead: str, max_steps: int
) -> Work:
    """Answers after every step of the task's traces: the right one, and the trace's own where it differs."""
    known = [trail for trail in trails.values() if len(trail.steps) <= max_steps]
    trunks = _lengths(checkpoint, [trail.reading for trail in known])
    read = branches = 0
    for trail, trunk in zip(known, trunks, strict=True):
        answers = {trail.problem.answer, trail.answer or trail.problem.answer}
        hung = [_length(checkpoint, lead + answer) + JOINED for answer in answers]
        points = len(trail.points)
        branches += points * len(hung)
        read += _scored(checkpoint, trunk, [each for each in hung for _ in range(points)])
    checked = CHECKS * (max(trunks, default=0) + CHECKED)
    return Work(stage, len(known) + branches, read + checked, why="traces that do not fit are left out")


def output_along(
    stage: str,
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    lead: str,
    max_steps: int,
    answers: Sequence[Problem],
) -> Work:
    """The same along outputs to these problems; `answers` are the problems whose answers they may be."""
    most = task.max_new_tokens
    steps = min(max_steps, most // 2)
    longest = max(_length(checkpoint, lead + problem.answer) for problem in answers) + JOINED
    # What a given answer has, the steps before it do not.
    given = min(most, longest)
    rows = read = 0
    for prompt in tokens_of(checkpoint, [problem.prompt for problem in problems]):
        trunk = min(checkpoint.n_ctx, prompt + most + JOINED)
        hung = [longest] * (steps + 1) + [longest + given] * (steps + 1)
        rows, read = rows + 1 + len(hung), read + _scored(checkpoint, trunk, hung)
    checked = CHECKS * (checkpoint.n_ctx + CHECKED)
    return Work(stage, rows, read + checked, why=_OUTPUTS, shared=True)


def gold_changes(
    stage: str,
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    trails: Mapping[int, Trail],
    changes: Sequence[Change],
    lead: str,
    seed: int,
    wordings: Mapping[int, Sequence[str]],
) -> Work:
    """What goes on after each change of the task's traces."""
    prompts = [
        each.prompt
        for change in changes
        for each in changed(change, trails, lead, seed, among=problems, wordings=wordings)
    ]
    lengths = _lengths(checkpoint, prompts)
    least = min(task.max_new_tokens, ROOM)
    fitting = [length for length in lengths if checkpoint.n_ctx - length >= least]
    written = len(fitting) * task.max_new_tokens
    longest = max(fitting, default=0)
    return Work(stage, len(fitting), sum(fitting), written, shared=True, longest=longest)


def output_changes(
    stage: str,
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    changes: Sequence[Change],
    lead: str,
    wordings: Mapping[int, Sequence[str]],
) -> Work:
    """What goes on after each change of an output to these problems."""
    most, led = task.max_new_tokens, _length(checkpoint, lead)
    sentence = max(_length(checkpoint, f" {each}") for each in SENTENCES)
    # Steps that are said again, a dot and a blank a word, or a sentence a step.
    said = {"filler": 2 * most, "irrelevant": (most // 2) * sentence}
    rows = read = longest = 0
    for i, problem in enumerate(problems):
        asked = [problem.prompt, *wordings.get(i, ())]
        own, others = tokens_of(checkpoint, [problem.prompt])[0], max(_lengths(checkpoint, asked))
        for change in changes:
            prompt = others if change == "reworded" else own
            whole = prompt + said.get(change, most) + led + 2 * JOINED
            whole = min(checkpoint.n_ctx, whole)
            rows, read, longest = rows + 1, read + whole, max(longest, whole)
    return Work(stage, rows, read, rows * most, _OUTPUTS, shared=True, longest=longest)


def shift_work(stage: str, checkpoint: Checkpoint, task: Task, problems: Sequence[Problem]) -> Work:
    """Prompts with outputs to them, read once."""
    prompts = tokens_of(checkpoint, [problem.prompt for problem in problems])
    return forced_work(stage, checkpoint, prompts, task.max_new_tokens)


def forced_work(stage: str, checkpoint: Checkpoint, prompts: Sequence[int], most: int) -> Work:
    """Prompts of these numbers of tokens, with outputs of at most so many."""
    lengths = [min(checkpoint.n_ctx, length + most + JOINED) for length in prompts]
    return Work(stage, len(lengths), sum(lengths), why=_OUTPUTS)


def _scored(checkpoint: Checkpoint, trunk: int, branches: Sequence[int]) -> int:
    """Tokens that are read to score branches: each with the whole text where a trunk cannot be shared."""
    if _shares(checkpoint):
        return trunk + sum(branches)
    return trunk + sum(trunk + each for each in branches)


def _shares(checkpoint: Checkpoint) -> bool:
    windows = windows_of(checkpoint)
    if windows is None or rope_switches(checkpoint):
        return False
    return all(holds(checkpoint, way, [0, 1, 2, 3], windows) for way in ("packed", "cached"))


def _lengths(checkpoint: Checkpoint, texts: Sequence[str]) -> list[int]:
    return [_length(checkpoint, text) for text in texts]


def _length(checkpoint: Checkpoint, text: str) -> int:
    """Tokens of a text; as many as fit where the tokenizer lacks a word, or the text is too long."""
    try:
        return tokens_of(checkpoint, [text])[0]
    except UserError:
        return checkpoint.n_ctx
