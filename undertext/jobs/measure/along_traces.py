"""Measures along traces: information gain, and the confidence trajectory."""

from collections.abc import Mapping, Sequence
from typing import Any

from undertext.core.terms import Role
from undertext.jobs.measure.collected import TrailReads, information_columns
from undertext.jobs.measure.gain_curves import curve_rows
from undertext.jobs.measure.probed import probed
from undertext.jobs.measure.stage import TRACES, WRITTEN, Stage, known
from undertext.jobs.measure.trajectories import by_answers, early_columns, trajectory_columns
from undertext.measures.trace.trails import Whose
from undertext.tasks.draws import clusters


def information(stage: Stage) -> None:
    """Information gain on own traces, the task's, and the other checkpoint's; and as both checkpoints read
    the traces of either."""
    _by_traces(stage, "information", lambda name, reads: _information(stage, name, reads))
    for writer in stage.roles if len(stage.roles) > 1 else ():
        reads = _readers(stage, writer)
        if len(reads) > 1:
            _information(stage, WRITTEN[writer], reads)
    steps = {
        role: known([float(bool(trail.steps)) for trail in stage.work.trails(role, "own").values()])
        for role in stage.roles
    }
    name = "outputs with a step before the answer"
    stage.collected.add("information", name, TRACES["own"], "share", steps)


def _information(stage: Stage, name: str, reads: Mapping[Role, TrailReads]) -> None:
    # Two checkpoints' figures on the other's traces are of unlike traces, and read by unlike readers.
    paired = name != TRACES["other"]
    information_columns(stage.collected, name, reads, stage.n, paired=paired)
    if paired:
        units, seed = clusters(stage.work.subjects["base"].problems), stage.work.config.seed
        stage.collected.tables["curves"] += curve_rows(name, reads, stage.n, units, seed)


def _readers(stage: Stage, writer: Role) -> dict[Role, TrailReads]:
    """What each checkpoint reads along the traces of one of them."""
    reads = stage.along()
    keys: dict[Role, tuple[Role, Whose]] = {
        role: (role, "own" if role == writer else "other") for role in stage.roles
    }
    return {role: reads[key] for role, key in keys.items() if key in reads}


def confidence(stage: Stage) -> None:
    """The confidence trajectory on own traces and the task's, by the answers' probabilities and by probes."""

    def add(name: str, reads: Mapping[Role, TrailReads]) -> None:
        found = {role: by_answers(each) for role, each in reads.items()}
        points = trajectory_columns(stage.collected, name, found, stage.n)
        early_columns(stage.collected, name, points, stage.right if name == TRACES["own"] else None)

    _by_traces(stage, "confidence", add, but=("other",))
    probed(stage, stage.along())


def _by_traces(stage: Stage, measure: str, add: Any, but: Sequence[Whose] = ()) -> None:
    """Hand `add` what was read along each kind of traces, and say which kinds there are none of."""
    reads = stage.along()
    for whose, name in TRACES.items():
        if whose in but or (whose == "other" and len(stage.roles) == 1):
            continue
        found = {role: reads[role, whose] for role in stage.roles if (role, whose) in reads}
        if not found:
            stage.collected.miss(measure, name, "the task has no traces")
            continue
        for role, each in found.items():
            if each.long:
                total = each.long + len(each.trails)
                reason = f"{each.long} of {total} have too many steps, or do not fit the context"
                stage.collected.miss(measure, f"{role}, {name}", reason)
            if not any(trail.steps for trail in each.trails):
                stage.collected.miss(measure, f"{role}, {name}", "no trace has a step before its answer")
        add(name, found)
