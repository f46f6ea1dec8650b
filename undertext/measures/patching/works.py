"""What putting other problems' values into two checkpoints reads and writes, before it is done."""

from collections.abc import Sequence

from undertext.activations.checkpoint import Checkpoint
from undertext.core.plan import Work
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.patching.re_asking import OTHER_VALUES
from undertext.measures.patching.used import DRAWS
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import reading_text, unsaid_positions

_JOINED = 2
"""Most tokens more that a prompt and an output have as one text than apart."""
_SETTINGS = 3 + DRAWS
"""On the split that is judged: nothing, the subspace, all of the activation, and random subspaces."""


def used_work(
    stage: str, read_by: Sequence[tuple[Checkpoint, Task]], split: str, layers: int, most: int, *, known: bool
) -> Work:
    """The weaker, then the stronger. Each reads the traces of train and dev, and goes on from at most `most`
    problems of dev under every setting and of the split. The stronger may be asked for counterfactual
    answers.

    `known`: whether the outputs of the stronger stand in for steps that the task does not have.
    """
    why = "how many problems can exchange a value is not known before"
    (_, own), (stronger, theirs) = read_by
    from_steps = any(
        position.said_end is not None for each in own.split(FIT) for position in unsaid_positions(each)
    )
    if not from_steps and not known:
        return Work(stage, 0, 0, why=why)
    declared = any(step.counterfactuals for problem in own.problems for step in problem.steps)
    rows = read = written = longest = 0
    searched = (1 + DRAWS) * layers
    for checkpoint, task in read_by:
        lengths = {
            name: _lengths(checkpoint, task, task.split(name), from_steps) for name in (FIT, CHOOSE, split)
        }
        rows += len(lengths[FIT]) + len(lengths[CHOOSE])
        read += sum(lengths[FIT]) + sum(lengths[CHOOSE])
        # Sources are read once for every call of dev (two) and of the split.
        for name, settings, sources in ((CHOOSE, searched, 2), (split, _SETTINGS, 1)):
            pairs = sorted(lengths[name], reverse=True)[:most]
            rows += (settings + sources) * len(pairs)
            read += (settings + sources) * sum(pairs)
            written += settings * len(pairs) * task.max_new_tokens
            longest = max([longest, *pairs])
    if not declared:
        asked = [
            length
            for name in (CHOOSE, split)
            for length in sorted(_lengths(stronger, theirs, theirs.split(name), from_steps), reverse=True)[
                :most
            ]
        ]
        rows += OTHER_VALUES * len(asked)
        read += OTHER_VALUES * (sum(asked) + _JOINED * len(asked))
        written += OTHER_VALUES * len(asked) * theirs.max_new_tokens
    return Work(stage, rows, read, written, why, shared=True, longest=longest)


def _lengths(checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], from_steps: bool) -> list[int]:
    """Tokens of each problem's reading text, or the most that its prompt and an output are."""
    if from_steps:
        return [len(ids) for ids in checkpoint.encode([reading_text(problem) for problem in problems])]
    prompts = checkpoint.encode([problem.prompt for problem in problems])
    return [min(checkpoint.n_ctx, len(ids) + task.max_new_tokens + _JOINED) for ids in prompts]
