"""How several comparisons with one base are shown: a table, and accuracy and shares over training."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from undertext.core.terms import ROLES
from undertext.jobs.compare.checkpoints.result import CheckpointComparisons, CheckpointSplit
from undertext.jobs.compare.words import confident, sureness
from undertext.report.figures.training import Moment, training_figure, training_said
from undertext.report.numbers import NOTHING, estimate, number, percent
from undertext.report.page import Section, document, fragment

_SHARES = (
    "Share: of what the stronger checkpoint shows over a line's null, the part that the weaker one shows. "
    "The weaker is the base where tuning helped, and the tuned checkpoint where tuning hurt.",
    "Confidence: the chance that a verdict of such evidence is right; an undetermined one claims nothing. "
    "Same verdict in: share of resamples of the problems to which the rule gives the same verdict.",
    "The report of each checkpoint is NAME/report.html beside this page. Flags are in that report.",
)
_CAPTION = (
    "Accuracy of base and tuned checkpoint over training, with the verdict on each, and the share of each "
    "line of evidence, with intervals. The figures are in tables/checkpoints.parquet."
)


def figures(result: CheckpointComparisons) -> dict[str, Figure]:
    """`training`: accuracy and shares over the training step, or over the checkpoints as they were given."""
    return {"training": training_figure(*_moments(result))}


def _moments(result: CheckpointComparisons) -> tuple[dict[str, list[Moment]], list[str] | None]:
    """The checkpoints by split, and their names where they are not placed by training step."""
    rows = result.rows
    steps = {row.checkpoint: row.step for row in rows}
    by_step = None not in steps.values() and len(set(steps.values())) == len(steps)
    places = {
        name: step if by_step and step is not None else i for i, (name, step) in enumerate(steps.items())
    }
    splits: dict[str, list[Moment]] = {}
    for row in rows:
        shares = {name: line.share for name, line in row.lines.items()}
        moment = Moment(
            places[row.checkpoint], row.verdict, row.accuracy["base"], row.accuracy["tuned"], shares
        )
        splits.setdefault(row.split, []).append(moment)
    return splits, None if by_step else list(steps)


def summary_html(result: CheckpointComparisons) -> str:
    """The table of all splits, for notebooks."""
    rows = result.rows
    heading = f"{result.summary['base']['name']} on {result.summary['task']['name']}, {len(rows)} verdicts"
    return fragment(heading, _table("", rows, split=True))


def lines(result: CheckpointComparisons) -> list[str]:
    """The verdict on each checkpoint and split, and what failed, for a terminal."""
    said = []
    for row in result.rows:
        accuracy = ", ".join(f"{role} {number(row.accuracy[role].value)}" for role in ROLES)
        said.append(f"{row.checkpoint}, {row.split}: {row.verdict} ({sureness(row)}; accuracy {accuracy})")
    return said + [f"{name}: not compared: {error}" for name, error in result.failed.items()]


def html(result: CheckpointComparisons, pictures: Mapping[str, bytes]) -> str:
    """The page."""
    base, task = result.summary["base"]["name"], result.summary["task"]
    shows = f"{_CAPTION} {training_said(*_moments(result))}"
    sections = [Section("Over training", picture=(pictures["training"], shows))]
    for split in dict.fromkeys(row.split for row in result.rows):
        sections.append(_table(split, [row for row in result.rows if row.split == split]))
    if result.failed:
        lost = [[name, each["source"], each["error"]] for name, each in result.summary["failed"].items()]
        sections.append(Section("Not compared", (), ["checkpoint", "source", "why"], lost))
    return document(
        f"{base} and its checkpoints on {task['name']}",
        "undertext comparisons",
        "When was the capability there?",
        {"base": base, "task": f"{task['name']}: {task['description']}"},
        sections,
        result.run,
    )


def _table(title: str, rows: list[CheckpointSplit], split: bool = False) -> Section:
    names = list(dict.fromkeys(name for row in rows for name in row.lines))
    shares = [f"share, {name}" for name in names]
    own = ["split"] if split else []
    head = [
        "checkpoint",
        "step",
        *own,
        "verdict",
        "confidence",
        "same verdict in",
        *ROLES,
        *shares,
        "unfinished",
        "flags",
    ]
    cells = [
        [
            row.checkpoint,
            NOTHING if row.step is None else f"{row.step:,}",
            *([row.split] if split else []),
            row.verdict,
            confident(row),
            percent(row.stability),
            *(estimate(row.accuracy[role]) for role in ROLES),
            *(
                f"{estimate(line.share)} {line.says}" if (line := row.lines.get(name)) else NOTHING
                for name in names
            ),
            ", ".join(f"{role} {percent(row.unfinished[role])}" for role in ROLES),
            str(row.flags),
        ]
        for row in rows
    ]
    return Section(title, _SHARES if title else (), head, cells)
