"""How long outputs may be and where they end, for a task that does not say.

Without `max_new_tokens` an output may have twice the tokens of the longest solution that the task shows; a
task that shows none is given room to reason. Without `stop` texts an output ends where it goes on to a next
problem: where the label that the prompts begin with (`Q:`, `### Problem`) begins a line again.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from undertext.activations.checkpoint import Checkpoint
from undertext.tasks.task import Task, continuations
from undertext.tasks.value_positions import reading_text

LEAST, UNSHOWN, THINKING, MOST = 64, 512, 2048, 4096
"""Tokens of an output: at least; where no solution is shown; at least where the task names the marks of its
reasoning, since checkpoints that think write far more than a solution; at most. A checkpoint that writes more
has outputs cut, which are counted as unfinished."""
COMMON = 0.1
"""Share of the prompts from which a label that begins them is one of the task's."""
_LABEL = re.compile(r"\s*(#{1,6} ?\w[\w ]{0,30}:?|<[|/]?\w+[|]?>|\[/?\w+\]|[^\W\d_][\w ]{0,30}:)")


def limited(tasks: Sequence[Task], checkpoints: Sequence[Checkpoint]) -> list[Task]:
    """One task as each checkpoint reads it, with one `max_new_tokens` and `stop` for all: as given, and
    otherwise chosen for these checkpoints.

    What was chosen is not among a task's `model_fields_set`.
    """
    chosen: dict[str, object] = {}
    if "max_new_tokens" not in tasks[0].model_fields_set:
        chosen["max_new_tokens"] = min(map(_longest_output, tasks, checkpoints))
    if not tasks[0].stop:
        firsts = [checkpoint.tokenizer.bos_token or "" for checkpoint in checkpoints]
        found = (next_problem(*each) for each in zip(tasks, firsts, strict=True))
        chosen["stop"] = list(dict.fromkeys(text for own in found for text in own))
    own = {id(task): _with(task, chosen) for task in tasks}
    return [own[id(task)] for task in tasks]


def limited_as(task: Task, other: Task) -> Task:
    """The task with the limits of another reading of it."""
    return _with(task, {"max_new_tokens": other.max_new_tokens, "stop": other.stop})


def _with(task: Task, chosen: Mapping[str, object]) -> Task:
    own = task.model_copy(update=chosen)
    own.model_fields_set.clear()
    own.model_fields_set.update(task.model_fields_set)  # what was chosen is still not given by the task
    return own


def next_problem(task: Task, first: str = "") -> list[str]:
    """Stop texts at which an output goes on to a next problem; none where the prompts begin with no label.

    None either of a label that an answer or a trace holds: outputs may hold that one too. `first` is the
    token that begins every text, which a chat template writes: it is no label, and the label stands after it.
    """
    prompts = [problem.prompt.lstrip().removeprefix(first) for problem in task.problems]
    labels = Counter(match[1] for prompt in prompts if (match := _LABEL.match(prompt)))
    shown = "\n".join(f"{p.answer}\n{p.trace}\n" + "\n".join(s.text for s in p.steps) for p in task.problems)
    own = [label for label, n in labels.items() if n >= COMMON * len(prompts) and label not in shown]
    # A label of words may stand within a line too, where prompts are of several lines: it ends nothing there.
    before = ["\n"] if any("\n" in prompt.strip() for prompt in prompts) else ["\n", " "]
    return [mark + label for label in sorted(own) for mark in before]


def _longest_output(task: Task, checkpoint: Checkpoint) -> int:
    """Tokens of an output that leave the longest prompt room in the context."""
    worded = [side for each in task.contrasts for side in (each.positive, each.negative)]
    prompts = [p.worded(side) for side in ("{prompt}", *worded) for p in task.problems]
    room = checkpoint.n_ctx - max(map(len, checkpoint.encode(prompts)))
    texts = [text for p in task.problems if (text := reading_text(p)[len(p.prompt) :])]
    wanted = UNSHOWN
    if task.grader.kind == "likelihood":  # nothing is written, but what is scored needs room
        whole = [(p, p.prompt + each) for p in task.problems for each in continuations(p)]
        return max(
            1,
            *(len(checkpoint.encode([text])[0]) - len(checkpoint.encode([p.prompt])[0]) for p, text in whole),
        )
    if texts:
        wanted = min(MOST, max(LEAST, 2 * max(map(len, checkpoint.encode(texts)))))
    if task.reasoning is not None:
        wanted = max(wanted, THINKING)
    return max(1, min(wanted, room))
