"""A plan as lines for a terminal."""

from collections.abc import Mapping, Sequence

from undertext.core.plan import Plan, Work
from undertext.core.planner import said

_COLUMNS = ("stage", "rows", "tokens read", "tokens written")
_TRAINED = ("tokens trained on", "updates")
"""Columns of jobs that train."""
_UNITS = ((60.0, 1.0, "s"), (5400.0, 60.0, "min"), (float("inf"), 3600.0, "h"))
"""Below how many seconds, divided by what, a time is said in which unit."""


def lines_of(plan: Plan) -> list[str]:
    """Settings, works, estimates, and what would make the job smaller."""
    settings = [f"{key} {said(value)}" for key, value in plan.settings.items() if value is not None]
    lines = [f"plan of undertext {plan.job}; nothing is run, and nothing is written"]
    lines += [f"settings: {', '.join(settings)}", ""]
    lines += _table(plan)
    lines += [f"  {work.stage}: at most, {work.why}" for work in plan.works if work.why]
    if any(work.shared for work in plan.works):
        lines.append("  tokens read are at most these where rows share what they read of a prompt")
    if any(work.written for work in plan.works):
        lines.append(
            f"  tokens written are at most these: {plan.max_new_tokens} a row, where no row ends sooner"
        )
    lines += ["", *_rates(plan), *_estimates([plan])]
    if beside := list(dict.fromkeys(work.beside for work in plan.works if work.beside)):
        lines.append(f"not in the time: {', '.join(beside)}")
    return [*lines, *smaller_lines(plan.less), *(f"note: {note}" for note in plan.notes)]


def smaller_lines(less: Mapping[str, float]) -> list[str]:
    """Other settings with the share of the time that is left; nothing where there are none."""
    head = "smaller, with the share of the time:"
    return [head, *(f"  {name}: {share:.2f}" for name, share in less.items())] if less else []


def sum_lines(plans: Sequence[Plan]) -> list[str]:
    """What several runs, one after another, come to."""
    exact = all(plan.exact for plan in plans)
    read, written = sum(plan.read for plan in plans), sum(plan.written for plan in plans)
    first = (
        f"{len(plans)} {'run' if len(plans) == 1 else 'runs'} in all: {_most(read, not exact)} tokens read, "
    )
    first += f"{_most(written, True)} written"
    if updates := sum(plan.updates for plan in plans):
        first += f", {_most(updates, not exact)} updates"
    return [first, *_estimates(plans)]


def _table(plan: Plan) -> list[str]:
    trained = [name for name, any_of in zip(_TRAINED, (plan.learnt, plan.updates), strict=True) if any_of]
    rows = [(*_COLUMNS, *trained), *(_cells(work, trained) for work in plan.works)]
    together = Work(
        "together",
        sum(work.rows for work in plan.works),
        plan.read,
        plan.written,
        why="at most" if any(work.why for work in plan.works) else "",
        shared=any(work.shared for work in plan.works),
        learnt=plan.learnt,
        updates=plan.updates,
    )
    rows.append(_cells(together, trained))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _cells(work: Work, trained: Sequence[str]) -> tuple[str, ...]:
    cells = {
        _TRAINED[0]: _most(work.learnt, bool(work.why)) if work.learnt else "0",
        _TRAINED[1]: _most(work.updates, bool(work.why)) if work.updates else "0",
    }
    return (
        work.stage,
        _most(work.rows, bool(work.why)),
        _most(work.read, bool(work.why) or work.shared),
        _most(work.written, True) if work.written else "0",
        *(cells[name] for name in trained),
    )


def _most(count: int, at_most: bool) -> str:
    return f"<= {count:,}" if at_most and count else f"{count:,}"


def _rates(plan: Plan) -> list[str]:
    rates = plan.rates
    read = f"{rates.read:,.0f} tokens read a second"
    said_of = f"measured in {_time(rates.seconds)} on {plan.device}: {read if rates.read else 'no text read'}"
    if rates.learnt:
        said_of += f", {rates.learnt:,.0f} trained on"
    if rates.update:
        said_of += f", {_time(rates.update)} an update"
    if rates.passes:
        rows = max(rates.passes)
        said_of += f", {rows / rates.passes[rows]:,.0f} written with {rows} rows at once"
        if rates.steered > 1:
            said_of += f", in {rates.steered:.2f} times the time where interventions act"
    lines = [said_of]
    if rates.length is not None:
        lines.append(f"rows of the trial wrote {rates.length:.0f} of at most {plan.max_new_tokens} tokens")
    return lines


def _estimates(plans: Sequence[Plan]) -> list[str]:
    """Time and disk of all, one after another; memory of the largest."""
    time = f"time: about {_time(sum(plan.most_s for plan in plans))} at most"
    if all(plan.exact and not plan.written for plan in plans):
        time = f"time: about {_time(sum(plan.most_s for plan in plans))}"
    usual = [plan.usual_s for plan in plans]
    if (known := [each for each in usual if each is not None]) and len(known) == len(usual):
        time += f", {_time(sum(known))} where rows write as many tokens as in the trial"
    largest = max(plans, key=lambda plan: plan.memory.all)
    memory = largest.memory
    parts = [f"weights {_bytes(memory.weights)}"]
    if memory.used is not None:
        parts = [f"{_bytes(memory.used)} in the trial, of which {parts[0]}"]
    more = {
        "a copy at random init": memory.copies,
        "a batch that is written": memory.batch,
        "activations": memory.kept,
        "a copy that is trained": memory.training,
        "what stages load and figures take": memory.spare,
    }
    parts += [f"{name} {_bytes(size)}" for name, size in more.items() if size]
    beside = "" if memory.used is not None else ", beside Python, its libraries and what a pass needs"
    disks = [plan.disk for plan in plans if plan.disk is not None]
    disk = f"about {_bytes(sum(disks))} at most, beside the report"
    if len(disks) < len(plans):
        disk = "not estimated"
    done = (
        "reading, writing and training"
        if any(p.learnt or p.updates for p in plans)
        else "reading and writing"
    )
    return [
        f"{time}; of {done} alone",
        f"memory on {largest.device}: about {_bytes(memory.all)} ({', '.join(parts)}){beside}",
        f"disk: {disk}",
    ]


def _time(seconds: float) -> str:
    divisor, unit = next((by, unit) for below, by, unit in _UNITS if seconds < below)
    return f"{seconds / divisor:.2g} {unit}" if seconds < 10 else f"{seconds / divisor:,.0f} {unit}"


def _bytes(count: int) -> str:
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:,.3g} {unit}"
    return f"{count} bytes"
