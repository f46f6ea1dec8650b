"""The sections of the bench's page, as Markdown."""

from collections.abc import Sequence
from html import escape

from undertext.jobs.bench.case import PARTS, Case, Part
from undertext.jobs.bench.plan import read_plan
from undertext.jobs.bench.rates import Effort, Rate, Tally
from undertext.jobs.bench.records import RECORDS
from undertext.jobs.bench.scores import GROUPS, VERDICTS, JudgeScores, Scores
from undertext.report.markdown import table
from undertext.report.numbers import NOTHING, estimate, interval, number, percent

OURS = "undertext"
"""Name of our own judge."""
HELD_OUT: Part = "held out"
MOST_LISTED = 40
"""Wrong verdicts that the page lists; bench.json holds all."""
TALLY = ("cases", "right of those given", "right of all", "confidently wrong", "undetermined")


def picture(name: str) -> str:
    """Path of a figure, from the page."""
    return f"figures/bench_{name}.svg"


def ours(scores: Scores) -> list[tuple[Part, JudgeScores]]:
    """Our own judge on each part of which it judged a scored case, held out first."""
    found = [(part, scores.of(OURS, part)) for part in reversed(PARTS)]
    return [(part, each) for part, each in found if each is not None and each.all.cases]


def leaks(scores: Scores) -> list[str]:
    """A warning where worlds are in both parts; else nothing."""
    if not scores.leaks:
        return []
    said = f"{_listed(scores.leaks)}: both parts have cases of these worlds, which share training."
    return [f"**Not held out.** {said}"]


def worlds(scores: Scores) -> str:
    """Which worlds the page rests on."""
    said = [f"{part}: {_listed(names)}" for part, names in reversed(list(scores.worlds.items())) if names]
    if not said:
        return ""
    planned, judged = {plan.world.name for plan in read_plan().worlds}, set().union(*scores.worlds.values())
    text = (
        f"Judged worlds, {'; '.join(said)}. Of the {len(planned)} worlds of the plan (`configs/bench.yaml`) "
        f"these are {len(planned & judged)}."
    )
    if scores.unplanned:
        names = sorted({f"`{each.organism}` of `{each.world}`" for each in scores.unplanned})
        text += (
            f" {counted(len(scores.unplanned), 'case')} of these worlds "
            f"{'is' if len(scores.unplanned) == 1 else 'are'} of organisms that the plan no longer has "
            f"there, and that the commands below do not make: {', '.join(names)}."
        )
    return text


def judges(scores: Scores) -> str:
    """Every judge's main rates, a table a part."""
    pieces = [
        "*Not judged*: scored cases that another judge was asked and this one was not. Where that is not 0\n"
        "the rows are not of the same cases."
    ]
    for part in reversed(PARTS):
        rows = [
            [f"`{each.judge}`", *_tally(each.all), str(each.missing), str(each.ambiguous)]
            for each in scores.judges
            if each.part == part
        ]
        by_world = [
            [
                f"`{each.judge}`",
                *map(_by_world, (each.all.right, each.all.confidently_wrong, each.all.undetermined)),
            ]
            for each in scores.judges
            if each.part == part
        ]
        if rows:
            pieces += [f"### {part.capitalize()}", table(["judge", *TALLY, "not judged", "ambiguous"], rows)]
            head = ["judge", "right of those given", "confidently wrong", "undetermined"]
            pieces += ["The same by world:", table(head, by_world)]
    return "\n\n".join(pieces)


def false_rates(scores: Scores) -> str:
    """How often every judge calls latent what is not there, and absent what is."""
    rows = [
        [
            f"`{each.judge}`",
            each.part,
            what,
            rated(own.of_cases),
            _by_world(own.of_cases),
            rated(own.of_given),
        ]
        for each in scores.judges
        for what, own in (
            ("latent where nothing is", each.false_latent),
            ("absent where it is there", each.false_absent),
        )
    ]
    return (
        "*Latent where nothing is*: cases taught or overwritten that are called elicited, composed or\n"
        "suppressed. *Absent where it is there*: the other way round.\n\n"
        + table(
            ["judge", "part", "called", "of all such cases", "by world", "of those given a verdict"], rows
        )
    )


def confusion(own: JudgeScores, says: str) -> str:
    """The confusion matrix on the held-out part."""
    tallies, silent = own.groups["truth"], own.silent_preserved
    rows = [
        [truth, *(str(counts[verdict]) for verdict in VERDICTS), rated(tallies[truth].right_of_all)]
        for truth, counts in own.confusion.items()
    ]
    called = [[verdict, rated(rate), _by_world(rate)] for verdict, rate in own.precision.items() if rate.of]
    return (
        f"`{OURS}`, {HELD_OUT}: truth down, verdict across. Recall counts `undetermined` as not right.\n\n"
        f"{table(['truth', *VERDICTS, 'recall'], rows)}\n\n"
        "What a verdict is worth: of the cases that it was given on, those of which it is true. It depends\n"
        "on how often the bench has each truth.\n\n"
        f"{table(['verdict', 'true', 'by world'], called)}\n\n"
        f"Preserved and called `undetermined`: {silent.count} of {silent.of}: silent, and not wrong.\n\n"
        f"![{says}]({picture('confusion')})"
    )


def groups(scores: Scores) -> str:
    """The main rates of our own judge on both parts by truth, organism, family and the like; nothing where
    it judged nothing."""
    tables = [
        f"### By {by}\n\n"
        + table(
            [by, "part", *TALLY],
            [
                [name, part, *_tally(tally)]
                for part, own in ours(scores)
                for name, tally in own.groups[by].items()
            ],
        )
        for by in GROUPS
    ]
    said = f"`{OURS}`. Rule and calibration were fixed on the part tuning."
    return "\n\n".join([said, *tables]) if ours(scores) else ""


def wrong(scores: Scores) -> str:
    """Our own judge's wrong verdicts, by part, the most confident first; nothing where it judged nothing."""
    found = [(part, each) for part, own in ours(scores) for each in own.wrong]
    if not found:
        return "None." if ours(scores) else ""
    rows = [
        [each.case.name, part, each.case.truth, each.verdict, number(each.confidence)]
        for part, each in found[:MOST_LISTED]
    ]
    left = len(found) - len(rows)
    more = f"\n\n{left} more are in `{RECORDS}`." if left else ""
    return f"`{OURS}`.\n\n" + table(["case", "part", "truth", "verdict", "confidence"], rows) + more


def confidence(scores: Scores, says: str) -> str:
    """Brier scores and calibration of every judge, and the bins of our own."""
    rows = [
        [
            f"`{each.judge}`",
            each.part,
            str(each.all.right.of),
            estimate(own.brier),
            *(number(figure, 3) for figure in (own.constant, own.calibration_error, own.overconfidence)),
        ]
        for each in scores.judges
        if (own := each.reliability).brier is not None
    ]
    if not rows:
        return ""
    head = ["judge", "part", "verdicts", "Brier score", "constant", "calibration error", "overconfidence"]
    bins = [
        [part, f"over {each.low:g} to {each.high:g}", number(each.confidence, 3), rated(each.right)]
        for part, own in ours(scores)
        for each in own.reliability.bins
    ]
    pieces = [
        "Of verdicts given. *Constant* is the Brier score of always saying the share that is right;\n"
        "*calibration error* the mean distance of confidence and share right over the bins;\n"
        "*overconfidence* the mean confidence less the share right.",
        table(head, rows),
    ]
    if bins:
        pieces += [
            "Bins have fixed edges: confidences pile up at 1, and bins of equal count would split ties by\n"
            "chance. The lowest bin holds 0 too.",
            table(["part", "confidence", "mean", f"right, `{OURS}`"], bins),
            f"![{says}]({picture('reliability')})",
        ]
    return "\n\n".join(pieces)


def contradictions(scores: Scores) -> str:
    """How often seeds of one judge contradict each other."""
    rows = [
        [
            f"`{each.judge}`",
            each.part,
            rated(own.differ),
            rated(own.flip),
            f"{own.pairs_differ} and {own.pairs_flip} of {own.pairs}",
        ]
        for each in scores.judges
        if (own := each.contradictions).pairs
    ]
    if not rows:
        return (
            "No case was judged with two seeds. `undertext bench run --seed 1` judges them with another one."
        )
    pieces = [
        "Cases judged with several seeds of the judge: *contradicted* where two gave verdicts that differ,\n"
        "*flipped* where one gave a verdict and another said `undetermined`.",
        table(["judge", "part", "contradicted, of cases", "flipped, of cases", "of pairs of seeds"], rows),
    ]
    for part, each in ours(scores):
        if each.contradictions.cases:
            pieces.append(f"`{OURS}`, {part}, contradicts itself on {_listed(each.contradictions.cases)}.")
        if len(each.seeds) > 1:
            seeds = [[str(seed), *_tally(tally)] for seed, tally in each.seeds.items()]
            pieces += [f"`{OURS}`, {part}, by its seed:", table(["seed", *TALLY], seeds)]
    return "\n\n".join(pieces)


def shares(scores: Scores) -> str:
    """The error of the share latent, where construction tells the share."""
    rows = [
        [
            f"`{each.judge}`",
            each.part,
            f"{own.covered.of} of {own.known}",
            *(NOTHING if mean is None else estimate(mean) for mean in (own.absolute, own.bias)),
            rated(own.covered),
        ]
        for each in scores.judges
        if (own := each.share).known
    ]
    if not rows:
        return ""
    head = ["judge", "part", "said", "mean absolute error", "bias", "interval holds the truth"]
    return (
        "Where construction tells which share of the gap was latent. *Bias* is said less known. Intervals\n"
        "of the errors are by world: of Student's t, with a degree of freedom less than there are worlds.\n\n"
        + table(head, rows)
    )


def efforts(scores: Scores) -> str:
    """The main rates of our own judge by the seconds taken and the number of problems."""
    pieces = []
    for part, each in ours(scores):
        rows = [
            [f"{_range(own, digits)} {unit}", *_tally(own.tally)]
            for unit, digits, groups in (("s", 1, each.seconds), ("problems", 0, each.problems))
            for own in groups
        ]
        pieces += [f"`{OURS}`, {part}:", table(["effort", *TALLY], rows)]
    return "\n\n".join(pieces)


def ambiguous(cases: Sequence[Case]) -> str:
    """The cases that are not scored, and why."""
    if not cases:
        return "None."
    rows = [[case.name, case.part, case.truth, escape(case.ambiguous, quote=False)] for case in cases]
    said = "Construction, behaviour and relearning disagree on these: they are listed and not scored."
    return f"{said}\n\n" + table(["case", "part", "truth by construction", "why"], rows)


def in_per_cent(rate: Rate) -> str:
    """`98% [93%, over 99%]`: the exact interval."""
    return f"{percent(rate.value)} [{percent(rate.low)},\u00a0{percent(rate.high)}]"


def _tally(tally: Tally) -> list[str]:
    rates = (tally.right, tally.right_of_all, tally.confidently_wrong, tally.undetermined)
    return [str(tally.cases), *map(rated, rates)]


def rated(rate: Rate) -> str:
    """`95 of 97: 0.98 [0.93, 1.00]`, the exact interval; a dash where there is no case."""
    return f"{rate.count} of {rate.of}: {interval(rate.value, rate.low, rate.high)}" if rate.of else NOTHING


def _by_world(rate: Rate) -> str:
    """`[0.90, 1.00], 12 worlds`."""
    if not rate.of:
        return NOTHING
    return f"[{number(rate.world_low)},\u00a0{number(rate.world_high)}], {counted(rate.worlds, 'world')}"


def _range(effort: Effort, digits: int) -> str:
    least, most = number(effort.least, digits), number(effort.most, digits)
    return least if least == most else f"{least} to {most}"


def counted(count: int, what: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{count} {what}{'s' * (count != 1)}"


def _listed(names: Sequence[str], most: int = 10) -> str:
    left = [f"{len(names) - most} more"] if len(names) > most else []
    return "; ".join([*(f"`{name}`" for name in names[:most]), *left])
