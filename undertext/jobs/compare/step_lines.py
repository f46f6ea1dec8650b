"""The lines of evidence on steps: those that the weaker goes on to, and those that it states itself."""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from undertext.core.statistics import Clusters, among
from undertext.jobs.compare.raw_line import RawLine
from undertext.measures.answers import Answers
from undertext.measures.trace.continued import Continued, of_outputs
from undertext.measures.trace.new_words import StepKind
from undertext.measures.trace.stated import OTHERS, stated_alike
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Task

ELSEWHERE = "elsewhere"
"""The weaker's next steps after other problems' prompts: what a trace's form and topic tell of its words."""


def continued_line(
    steps: Mapping[str, Continued], gap: Sequence[int], units: Clusters = None, kind: StepKind = "values"
) -> RawLine | None:
    """The line `continued` over the problems in the gap: next steps, the right ones before them given.

    Its null is what the same next steps score as those of other problems, or what the architecture at random
    init writes, or of new words what follows another problem's prompt, whichever is more. None where no step
    of the gap says a value. `units` are the groups of the split's problems. Where the task's own steps say no
    values, `kind` tells what of the stronger's outputs is looked at; of new words the figure is their
    probability.
    """
    weaker, stronger = (steps[who].per_problem(steps[who].right) for who in ("weaker", "stronger"))
    nulls = {
        "the same next steps graded as other problems'": steps["weaker"].per_problem(
            steps["weaker"].by_chance
        ),
        "random init": steps["random_init"].per_problem(steps["random_init"].right),
    }
    if ELSEWHERE in steps:
        nulls["the same steps after another problem's prompt"] = steps[ELSEWHERE].per_problem(
            steps[ELSEWHERE].right
        )
    problems = [i for i in gap if all(i in each for each in (weaker, stronger, *nulls.values()))]
    if not problems:
        return None
    figures = {name: np.array([null[i] for i in problems]) for name, null in nulls.items()}
    null = max(figures, key=lambda name: figures[name].mean())
    count = sum(value.problem in set(problems) for value in steps["weaker"].values)
    whose = "the problem's" if kind == "values" else "the stronger's"
    what = f"{kind} of next steps written right"
    if kind == "new words":
        what = "how probable the new words of next steps are, by their first token"
    return RawLine(
        name="continued",
        problems=np.array(problems),
        clusters=among(units, np.array(problems)),
        weaker=np.array([weaker[i] for i in problems]),
        stronger=np.array([stronger[i] for i in problems]),
        null=figures[null],
        in_words=kind == "new words",
        access="the trace",
        note=f"{what}, {whose} own right steps before them given: {count} {kind} "
        f"of {len(problems)} problems; null: {null}",
    )


def stated_line(
    task: Task, split: str, gap: Sequence[int], weaker: Answers, stronger: Answers, own_steps: bool
) -> RawLine | str:
    """The line `stated` over the problems in the gap: values of steps that the weaker's own outputs say.

    Its null is what the same outputs say of other problems' values. Without `own_steps` the values are the
    new numbers of the stronger's outputs. The text says why there is no line.
    """
    grader, problems = OutputGrader(task), task.split(split)
    if not own_steps:
        problems = of_outputs(problems, stronger.texts)

    def written(own: Answers) -> tuple[list[str], list[tuple[int, int] | None]]:
        cut = own.unfinished.tolist()
        return own.texts, [grader.find(*each) for each in zip(own.texts, cut, strict=True)]

    low, high, in_words = stated_alike(problems, written(weaker), written(stronger), gap, own_steps=own_steps)
    rows = [i for i in gap if i in low.share and i in high.share]
    silent = sum(i in low.silent for i in rows)
    if not rows:
        return "no step says a value that its problem does not state: `stated` was not measured"
    if silent == len(rows):
        return (
            "the weaker checkpoint's outputs give an answer and no steps: `stated` was not measured, and no "
            "evidence that the steps are gone"
        )
    what = "values of the problem's own steps" if own_steps else "new numbers of the stronger's outputs"
    how = "in order and in the words of their step" if in_words else "in order"
    count, error = sum(low.counts[i] for i in rows), 0.5 / sqrt(OTHERS * len(rows))
    return RawLine(
        name="stated",
        problems=np.array(rows),
        clusters=among(weaker.clusters, np.array(rows)),
        weaker=np.array([low.share[i] for i in rows]),
        stronger=np.array([high.share[i] for i in rows]),
        null=np.array([low.by_chance[i] for i in rows]),
        access="none" if own_steps else "the trace",
        note=f"{what} that the weaker's own outputs state, {how}: {count} values of {len(rows)} problems, "
        f"{silent} of whose outputs give an answer alone; null: other problems' values, by {OTHERS} others a "
        f"problem, drawn with a seed: standard error at most {error:.3f}",
    )
