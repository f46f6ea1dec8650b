"""How `steer`'s result is shown: the page, the dose figure, and lines for a terminal."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from undertext.jobs.steer.result import SteerResult
from undertext.measures.recovery.estimate import RecoveryEstimate
from undertext.measures.recovery.side_effects import SideEffects
from undertext.report.figures.doses import doses_figure, doses_said
from undertext.report.numbers import NOTHING, estimate, number, percent
from undertext.report.page import Section, document, fragment
from undertext.report.style import house_style

_CONTROLS = (
    "Controls go through the same search as the vectors. Where a control recovers as much as a vector, the "
    "capability is easy to elicit and the vector is not specific."
)
_FEW = "A search by halving tries most doses on a few problems, and only its last ones on all."


def figures(result: SteerResult) -> dict[str, Figure]:
    """`doses`: accuracy on dev by dose, each kind of control as a band."""
    with house_style():
        drawn = doses_figure(result.tables["sweep"].to_pylist())
    return {} if drawn is None else {"doses": drawn}


def summary_html(result: SteerResult) -> str:
    """Accuracy with and without the best vector, for notebooks."""
    return fragment(f"steer: {result.summary['checkpoint']['name']}", _accuracy(result))


def lines(result: SteerResult) -> list[str]:
    """What the best vector recovered on each split, for a terminal."""
    said = []
    for split, vectors in result.splits.items():
        recovery = vectors[result.shown]
        said += [
            f"{split}: {recovery.vector!r} (access: {recovery.access}), {_setting(recovery)}; "
            f"{percent(recovery.steered)} of generated tokens steered, "
            f"{percent(recovery.steered_of_all)} of all that were read",
            f"  accuracy {estimate(result.accuracy[split]['unsteered'])} to {estimate(recovery.lenient)}",
            f"  {_recovered(recovery)}; difference {estimate(recovery.difference)}",
        ]
        said += [
            f"  accuracy over {kind}: {estimate(over.accuracy)}" for kind, over in recovery.excess.items()
        ]
        if recovery.still_correct is not None:
            said.append(
                f"  still correct of {recovery.solved} solved unsteered: {estimate(recovery.still_correct)}"
            )
    effect = result.side_effects[result.shown]
    if effect is not None:
        said.append(
            f"on {effect.source}: divergence {effect.divergence:.3f} nats a token, {_perplexity(effect)}"
        )
    return [*said, *(f"note: {note}" for note in (*result.run.get("notes", ()), *result.notes))]


def html(result: SteerResult, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    summary = result.summary
    about = {
        "checkpoint": summary["checkpoint"]["name"],
        "stronger": "none given" if summary["stronger"] is None else summary["stronger"]["name"],
        "task": summary["task"]["name"],
    }
    sections = [_accuracy(result), *(_recovery(result, split) for split in result.splits)]
    if "doses" in pictures:
        alternative = f"Accuracy by dose. {doses_said(result.tables['sweep'].to_pylist())}"
        sections.append(Section("Dose", [_FEW], picture=(pictures["doses"], alternative)))
    sections.append(_side_effects(result))
    if result.notes:
        sections.append(Section("Notes", result.notes))
    return document(
        f"steer: {about['checkpoint']}",
        "steering, no training",
        "What vectors recover",
        about,
        sections,
        result.run,
    )


def _accuracy(result: SteerResult) -> Section:
    rows = []
    for split, accuracy in result.accuracy.items():
        recovery = result.splits[split][result.shown]
        stronger = accuracy.get("stronger")
        rows.append(
            [
                split,
                str(recovery.lenient.n),
                estimate(accuracy["unsteered"]),
                estimate(recovery.lenient),
                NOTHING if stronger is None else estimate(stronger),
                estimate(recovery.difference),
                NOTHING if recovery.gap is None else estimate(recovery.gap),
            ]
        )
    head = ["split", "problems", "unsteered", "steered", "stronger", "difference", "recovered gap"]
    best = next(iter(result.splits.values()))[result.shown]
    text = (
        f"{_which(result)}: {best.vector!r} (access: {best.access}), {_setting(best)}. Accuracy is lenient."
    )
    return Section("Accuracy", [text], head, rows)


def _recovery(result: SteerResult, split: str) -> Section:
    """Every vector, best first, and of each kind of control the one that did best on dev."""
    estimates = result.splits[split]
    best = estimates[result.shown]
    controls = [estimates[over.control] for over in best.excess.values()]
    vectors = [recovery for recovery in estimates.values() if recovery.control is None or recovery is best]
    vectors.sort(key=lambda recovery: (recovery is not best, -recovery.lenient.value))
    kinds = list(dict.fromkeys(kind for recovery in vectors for kind in recovery.excess))
    rows = []
    for recovery in [*vectors, *controls]:
        name = (
            recovery.vector if recovery.control is None else f"{recovery.vector} (best of {recovery.control})"
        )
        over = [recovery.excess.get(kind) for kind in kinds]
        rows.append(
            [
                name,
                recovery.access,
                _setting(recovery),
                percent(recovery.steered),
                estimate(recovery.lenient),
                _recovered(recovery, gap=""),
                *(NOTHING if each is None else estimate(each.accuracy) for each in over),
                NOTHING if recovery.still_correct is None else estimate(recovery.still_correct),
            ]
        )
    head = ["vector", "access", "setting", "tokens steered", "accuracy", "recovered gap"]
    head += [f"accuracy over {kind}" for kind in kinds]
    return Section(f"Recovered on {split}", [_CONTROLS], [*head, "still correct"], rows)


def _side_effects(result: SteerResult) -> Section:
    shown = [(name, effect) for name, effect in result.side_effects.items() if effect is not None]
    wanted = {
        recovery.vector
        for split in result.splits.values()
        for recovery in split.values()
        if not recovery.control
    }
    rows = [
        [name, effect.source, number(effect.divergence, 3), _perplexity(effect, name="")]
        for name, effect in shown
        if name in wanted or name == result.shown
    ]
    text = "What each vector does, at its chosen setting, to text that is none of the task's problems."
    return Section("Side effects", [text], ["vector", "text", "nats a token", "perplexity"], rows)


def _which(result: SteerResult) -> str:
    return (
        "Best vector on dev" if result.best_vector else "No vector was offered; best random direction on dev"
    )


def _setting(recovery: RecoveryEstimate) -> str:
    return f"layer {recovery.layer}, {recovery.at}, {recovery.operator}, dose {recovery.dose:g}"


def _recovered(recovery: RecoveryEstimate, gap: str = "recovered gap ") -> str:
    return "no gap to recover" if recovery.gap is None else f"{gap}{estimate(recovery.gap)}"


def _perplexity(effect: SideEffects, name: str = "perplexity ") -> str:
    return f"{name}{number(effect.perplexity, 1)} to {number(effect.perplexity_steered, 1)}"
