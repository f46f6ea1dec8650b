"""The bench's page, its figures and its file, from the judgements."""

from collections.abc import Iterable, Mapping

from matplotlib.figure import Figure

from undertext.jobs.bench import sections
from undertext.jobs.bench.aims import aims
from undertext.jobs.bench.case import Judged
from undertext.jobs.bench.rates import CONFIDENT
from undertext.jobs.bench.records import RECORDS, records_bytes
from undertext.jobs.bench.scores import JudgeScores, Scores, plain_scores, score_records
from undertext.jobs.bench.sections import HELD_OUT, OURS, picture
from undertext.report.figures.judged import Mark, confusion_figure, reliability_figure
from undertext.report.numbers import number
from undertext.report.style import svg

PAGE = "bench.md"


def bench_files(records: Iterable[Judged]) -> dict[str, bytes]:
    """bench.md, bench.json and the figures, by path below docs/; the same judgements give the same bytes.

    UserError as `merged`.
    """
    records = list(records)
    scores = score_records(records)
    says, figures = figure_texts(scores), bench_figures(scores)
    return {
        PAGE: bench_page(scores).encode(),
        RECORDS: records_bytes(records, plain_scores(scores)),
        **{picture(name): svg(figure, says[name]) for name, figure in figures.items()},
    }


def bench_figures(scores: Scores) -> dict[str, Figure]:
    """`confusion` on the held-out part and `reliability` on both, of our own judge; none where it judged
    nothing."""
    figures = {}
    if (ours := scores.of(OURS, HELD_OUT)) and ours.confusion:
        figures["confusion"] = confusion_figure(ours.confusion, f"{OURS}, {HELD_OUT}: number of cases")
    if marks := _marks(scores):
        figures["reliability"] = reliability_figure(marks)
    return figures


def figure_texts(scores: Scores) -> dict[str, str]:
    """What each figure shows, in words."""
    ours = scores.of(OURS, HELD_OUT)
    rows = [
        f"{truth}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        for truth, counts in (ours.confusion if ours else {}).items()
    ]
    bins = [
        f"{name}: "
        + ", ".join(f"{number(m.right)} of {m.n} at confidence {number(m.confidence)}" for m in marks)
        for name, marks in _marks(scores).items()
    ]
    return {
        "confusion": f"Held-out cases by truth, and what {OURS} called them. {'; '.join(rows)}.",
        "reliability": f"Share of verdicts that is right, by their confidence. {'; '.join(bins)}.",
    }


def answer(scores: Scores) -> str:
    """The one sentence: what our own judge's verdicts on the held-out part are worth."""
    ours = scores.of(OURS, HELD_OUT)
    if ours is None or not ours.all.cases:
        return f"No scored case of the held-out part has been judged by `{OURS}` yet."
    right, silent, wrong = ours.all.right, ours.all.undetermined, ours.all.confidently_wrong
    cases, worlds = (
        sections.counted(ours.all.cases, "held-out case"),
        sections.counted(silent.worlds, "world"),
    )
    said = f"On {cases} of {worlds}, `{OURS}` gave {sections.counted(right.of, 'verdict')}"
    if right.of:
        said += (
            f": {right.count} right ({sections.in_per_cent(right)}), {wrong.count} wrong with a confidence "
            f"over {CONFIDENT:g}"
        )
    return f"{said}; {silent.count} `undetermined` ({sections.in_per_cent(silent)})."


def bench_page(scores: Scores) -> str:
    """docs/bench.md."""
    ours, says = scores.of(OURS, HELD_OUT), figure_texts(scores)
    if ours is not None and not ours.all.cases:
        ours = None
    pieces: Mapping[str, str] = {
        "What must hold": aims(scores, ours) if ours else "",
        "Judges side by side": sections.judges(scores),
        "Both false rates": sections.false_rates(scores),
        "Confusion matrix": sections.confusion(ours, says["confusion"]) if ours else "",
        "By what the cases are": sections.groups(scores),
        "Wrong verdicts": sections.wrong(scores),
        "Is the confidence worth what it says?": sections.confidence(scores, says["reliability"]),
        "Two seeds on one case": sections.contradictions(scores),
        "Share of the gap that was latent": sections.shares(scores),
        "Error against effort": sections.efforts(scores),
        "Ambiguous cases": sections.ambiguous(scores.ambiguous),
        "How to make it again": _AGAIN,
    }
    body = [f"## {title}\n\n{piece}" for title, piece in pieces.items() if piece]
    top = ["# The bench", answer(scores), sections.worlds(scores), *sections.leaks(scores), _HOW_TO_READ]
    return "\n\n".join(piece for piece in [*top, *body] if piece) + "\n"


_HOW_TO_READ = f"""A case is a pair of organisms on one split. Its truth is known by construction, and checked
by behaviour and by relearning. `undetermined` is an answer, and it is counted. *Confidently wrong* is a wrong
verdict with a confidence over {CONFIDENT:g}, of the verdicts given. Rule and calibration were fixed on the
*tuning* part; the *held out* part is other worlds. A world is a family of tasks, an architecture, a tokenizer
and a seed. A case counts once, by the judge's smallest seed on it.

Intervals are 95%. Clopper and Pearson's takes cases as independent. The one *by world* takes only worlds as
independent, since cases of one world share training: Wilson's, of the number of cases over the design
effect."""

_AGAIN = f"""    undertext bench build
    undertext bench run
    undertext bench score

`build` trains the organisms, `run` asks every judge on every case, and `score` writes this page and
`{RECORDS}`, which holds every judgement and all scores. Each goes on where it was stopped. Files of several
sittings are merged before they are scored. `undertext bench build --dry-run` and
`undertext bench run --dry-run` say beforehand what is missing, and what it would take."""


def _marks(scores: Scores) -> dict[str, list[Mark]]:
    """The bins of our own judge's confidence, a series a part."""
    return {f"{OURS}, {part}": _bins(each) for part, each in sections.ours(scores) if each.reliability.bins}


def _bins(each: JudgeScores) -> list[Mark]:
    bins = each.reliability.bins
    return [Mark(b.confidence, b.right.value or 0.0, b.right.low, b.right.high, b.right.of) for b in bins]
