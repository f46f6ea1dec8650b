"""Valid traces, valid steps and the four-way table, and who judged them.

The judge is the user's function where there is one; else the values that the task's steps name, by the words
of these steps or, where no checkpoint writes in these words, in whatever words; else, in a task whose steps
name no values, what it says itself of its steps (`valid`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from undertext.activations.errors import UserError, shown
from undertext.core.terms import Role
from undertext.jobs.measure.collected import spread
from undertext.jobs.measure.figures_of import Kind
from undertext.jobs.measure.stage import TRACES, Stage
from undertext.measures.trace.dependence import FOUR, four_way, stated_though_wrong
from undertext.measures.trace.judging import Judge, by_chance, by_steps, labelled
from undertext.measures.trace.stated import stated, step_values
from undertext.measures.trace.trails import Trail
from undertext.measures.trace.validity import Validity, by_values, by_words, in_own_words, written_in_words
from undertext.tasks.output_grader import OutputGrader

BY_WORDS, BY_VALUES, BY_TASK = (
    "values that the task's steps name, after the words of these steps",
    "values that the task's steps name, all in order, in whatever words",
    "the task, of steps that say the same as its own",
)
NOT_IN_WORDS = (
    "no checkpoint says nearly all values by the words of the task's steps: a trace counts as valid where it "
    "states every value in order, in whatever words and whatever else it says"
)
NO_JUDGE = (
    "the task names no values of steps and calls none of them invalid, and no function judges steps (--valid)"
)


def validity(stage: Stage) -> None:
    """Judge the checkpoints' own traces, into `stage.valid`."""
    problems = [p for subject in stage.work.subjects.values() for p in subject.problems]
    values = any(step_values(p, again=True) for p in problems)
    function = stage.functions.valid
    if values:
        _stated(stage)
    if function is not None:
        stage.judge = f"the function {shown(function.name, 100)}"
        _by_steps(stage, function)
    elif values:
        _by_values(stage)
    elif any(not step.valid for p in problems for step in p.steps):
        stage.judge = BY_TASK
        _by_steps(stage, labelled)
    else:
        stage.collected.miss("faithfulness", "valid traces", NO_JUDGE)
    if stage.judge is not None:
        _valid_figures(stage)
    if values:
        _stated_figures(stage)


def _answers_at(stage: Stage, role: Role) -> list[tuple[int, int] | None]:
    answers, grader = stage.work.answers[role], OutputGrader(stage.work.subjects[role].task)
    return [grader.find(*e) for e in zip(answers.texts, answers.unfinished.tolist(), strict=True)]


def _stated(stage: Stage) -> None:
    for role in stage.roles:
        problems, texts = stage.work.subjects[role].problems, stage.work.answers[role].texts
        stage.stated[role] = stated(problems, texts, _answers_at(stage, role), named=False)


def _by_values(stage: Stage) -> None:
    """By the values that the task's steps name."""
    worded, writers = dict[Role, Validity](), dict[Role, list[int]]()
    for role in stage.roles:
        answers, held = stage.work.answers[role], stage.stated[role]
        worded[role] = by_words(stage.work.subjects[role].problems, answers.texts, _answers_at(stage, role))
        writes = {i for i in held.share if i not in held.silent} | {
            i for i, v in worded[role].said.items() if v
        }
        writers[role] = [i for i in sorted(writes) if not answers.unfinished[i]]
    in_words = written_in_words(worded, writers)
    stage.judge = BY_WORDS if in_words else BY_VALUES
    if not in_words:
        stage.collected.miss("faithfulness", "valid steps", NOT_IN_WORDS)
    for role in stage.roles:
        if in_words and not in_own_words(worded[role], stage.stated[role], writers[role]):
            _in_other_words(stage, role, worded[role], writers[role])
            stage.valid[role] = Validity({}, {}, {}, {})
            continue
        judged = worded[role] if in_words else by_values(stage.stated[role])
        valid = {i: v for i, v in judged.valid.items() if i in writers[role]}
        stage.valid[role] = replace(judged, valid=valid)
        _left_out(stage, role, "are of problems without a value that a trace could say")


def _in_other_words(stage: Stage, role: Role, worded: Validity, writers: Sequence[int]) -> None:
    """Say that a checkpoint's traces are not judged by words that are not its own."""
    by_its_words, anyhow = (
        fmean(share[i] for i in writers if i in share) for share in (worded.said, stage.stated[role].share)
    )
    reason = (
        "its traces are not judged: by the words of the task's steps something is said for "
        f"{by_its_words:.2f} of the values, and {anyhow:.2f} of them are stated in whatever words (--valid "
        "judges steps by a function of yours)"
    )
    stage.collected.miss("faithfulness", f"valid traces, {role}, which writes in other words", reason)


def _by_steps(stage: Stage, judge: Judge) -> None:
    """By a judge of whole steps."""
    for role in stage.roles:
        answers = stage.work.answers[role]
        judged = by_steps(judge, stage.work.trails(role, "own"), dict(enumerate(answers.texts)))
        valid = {i: v for i, v in judged.valid.items() if not answers.unfinished[i]}
        own = {i: trail for i, trail in stage.work.trails(role, "own").items() if i in valid}
        chance = _chance(stage, judge, own)
        stage.valid[role] = replace(judged, valid=valid, by_chance=chance)
        _left_out(stage, role, "have no step that is judged")
    gold = stage.work.trails("base", "gold")
    texts = {i: trail.text for i, trail in gold.items()}
    stage.valid_gold = by_steps(judge, gold, texts)


def _chance(stage: Stage, judge: Judge, trails: Mapping[int, Trail]) -> dict[int, float]:
    try:
        return by_chance(judge, trails)
    except UserError as error:
        # A function may know only the steps of a problem's own traces.
        what = "valid traces by chance"
        stage.collected.miss("faithfulness", what, f"steps cannot be judged as another problem's: {error}")
        return {}


def _left_out(stage: Stage, role: Role, why: str) -> None:
    """Say which outputs are not judged."""
    judged, cut = stage.valid[role], int(stage.work.answers[role].unfinished.sum())
    rest = stage.n - cut - len(judged.valid)
    counts = {"are unfinished": cut, f"hold an answer and no trace, or {why}": rest}
    said = [f"{count} of {stage.n} outputs {what}" for what, count in counts.items() if count]
    if said:
        stage.collected.miss("faithfulness", f"valid traces, {role}", f"{'; '.join(said)}: they are left out")


def _add(
    stage: Stage, name: str, kind: Kind, values: Mapping[Role, Mapping[int, float]], traces: str
) -> None:
    columns = {role: spread(list(each), list(each.values()), stage.n) for role, each in values.items()}
    stage.collected.add("faithfulness", name, traces, kind, columns)


def _valid_figures(stage: Stage) -> None:
    """The figures of what was judged."""
    own, valid = TRACES["own"], stage.valid
    found = {r: {i: float(v) for i, v in judged.valid.items()} for r, judged in valid.items()}
    _add(stage, "valid traces", "share", found, own)
    chance = {r: {i: v for i, v in e.by_chance.items() if i in e.valid} for r, e in valid.items()}
    _add(stage, "valid traces by chance", "bounded", chance, own)
    steps = {
        role: {i: fmean(step.right for step in each.steps[i]) for i in each.valid if each.steps.get(i)}
        for role, each in valid.items()
    }
    if any(steps.values()):
        _add(stage, "valid steps", "bounded", steps, own)
    if stage.valid_gold is not None and stage.valid_gold.valid:
        gold = {i: float(v) for i, v in stage.valid_gold.valid.items()}
        _add(stage, "valid traces", "share", {"base": gold}, TRACES["gold"])
    right = {role: stage.work.answers[role].lenient for role in stage.roles}
    cells = {role: four_way(each.valid, right[role]) for role, each in valid.items()}
    for k, name in enumerate(FOUR):
        columns = {role: each[:, k] for role, each in cells.items()}
        stage.collected.add("faithfulness", f"trace {name} answer", own, "share", columns)


def _stated_figures(stage: Stage) -> None:
    """The figures of what outputs state, in whatever words."""
    name = "values stated by outputs whose answer is wrong"
    wrong = {
        role: stated_though_wrong(held, stage.work.answers[role].lenient, stage.work.answers[role].unfinished)
        for role, held in stage.stated.items()
    }
    stage.collected.add("faithfulness", name, TRACES["own"], "bounded", wrong)
    by_others = {
        r: {i: v for i, v in h.by_chance.items() if i not in h.silent} for r, h in stage.stated.items()
    }
    _add(stage, "values stated by chance", "bounded", by_others, TRACES["own"])
