"""The line `rephrased`: does the weaker checkpoint solve the gap's problems in other words of their own?"""

from collections.abc import Sequence

import numpy as np

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.core.resume import Done
from undertext.core.statistics import among
from undertext.jobs.compare.raw_line import RawLine
from undertext.measures.answers import Answers, greedy
from undertext.tasks.output_grader import chance_any, chance_note
from undertext.tasks.task import Problem, Task


def ask_rephrased(
    weaker: Checkpoint, task: Task, split: str, gap: Sequence[int], batch_size: int, done: Done
) -> Answers | str | None:
    """The weaker's greedy answers to a split's problems, each asked by its first paraphrase (one without any
    as it stands); or why there are none. None where no problem in the gap has paraphrases."""
    problems = task.split(split)
    if not any(problems[i].paraphrases for i in gap):
        return None
    try:
        return greedy(
            weaker, task, problems, prompts=other_words(problems), batch_size=batch_size, progress=done
        )
    except UserError as error:  # longer than the context, or of words that the tokenizer lacks
        return f"`rephrased` was not measured: {error}"


def other_words(problems: Sequence[Problem]) -> list[str]:
    """Each problem's first paraphrase, or its prompt."""
    return [problem.paraphrases[0] if problem.paraphrases else problem.prompt for problem in problems]


def rephrased_line(own: Answers, task: Task, split: str, gap: Sequence[int], weaker: Answers) -> RawLine:
    """The line, over the gap's problems that have paraphrases.

    A checkpoint that knows one wording of two has as many problems right in either, and other ones: accuracy
    on the split would not show it. The null is what outputs reach that know nothing of their problem, given
    that the weaker's own was wrong: of the other problems that its own output is wrong for too, the share
    that the new output is right for. One that gives the other one of two answers reaches that as well.
    """
    problems = task.split(split)
    rows = [i for i in gap if problems[i].paraphrases]
    asked = [problems[i] for i in rows]

    def finished(answers: Answers) -> list[list[str]]:
        return [[] if answers.unfinished[i] else [answers.texts[i]] for i in rows]

    at = np.array(rows)
    cut = own.unfinished[at]
    return RawLine(
        name="rephrased",
        problems=at,
        clusters=among(weaker.clusters, at),
        weaker=own.lenient[at].astype(float),
        stronger=np.ones(len(rows)),
        null=chance_any(task, asked, finished(own), problems, finished(weaker)),
        access="none",
        note=f"greedy answers to the first paraphrase of the {len(rows)} problems in the gap that have one; "
        "null: the same outputs graded against other problems' answers, of those that the weaker's own "
        f"output is wrong for too{f'; {cut.sum()} of {cut.size} outputs unfinished' if cut.any() else ''}"
        f"{chance_note(task, len(rows))}",
        unfinished=cut,
    )
