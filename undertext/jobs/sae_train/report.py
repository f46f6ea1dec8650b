"""The report of `sae train`: how well the dictionary reconstructs, what a model loses by it, how often
latents fire."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from undertext.jobs.sae_train.result import TrainedDictionary
from undertext.report.figures.firing import firing_figure, firing_said
from undertext.report.numbers import number, percent
from undertext.report.page import Section, document, fragment

NAMES = {
    "sae": "SAE of one checkpoint",
    "difference": "SAE of what tuning added",
    "crosscoder": "crosscoder of base and tuned",
}


def figures(result: TrainedDictionary) -> dict[str, Figure]:
    """`firing`: how often latents fire on the rows held out."""
    frequency = result.tables["latents"]["frequency"].to_pylist()
    drawn = firing_figure(frequency, result.fidelity.rows)
    return {} if drawn is None else {"firing": drawn}


def summary_html(result: TrainedDictionary) -> str:
    """What a notebook shows."""
    return fragment(NAMES[result.summary["kind"]], _reconstruction(result))


def lines(result: TrainedDictionary) -> list[str]:
    """How well the dictionary reconstructs, in a line or two."""
    fidelity, loss = result.fidelity, result.loss
    said = [
        f"explained variance {number(fidelity.explained_variance, 3)}, L0 {number(fidelity.l0, 1)}, "
        f"dead {number(100 * fidelity.dead_share, 1)}% ({fidelity.rows} rows held out)"
    ]
    if loss is not None:
        shares = (number(share, 3) for share in (loss.recovered_from_zero, loss.recovered_from_mean))
        said.append(
            f"loss recovered {' from zeros, '.join(shares)} from the mean (clean {number(loss.clean, 3)}, "
            f"spliced {number(loss.spliced, 3)}, zeros {number(loss.zero, 3)}, mean {number(loss.mean, 3)}; "
            f"{loss.tokens} tokens)"
        )
    return said if result.at is None else [*said, f"saved: {result.folder}"]


def _reconstruction(result: TrainedDictionary) -> Section:
    fidelity = result.fidelity
    return Section(
        "Reconstruction",
        [f"Measured on {fidelity.rows:,} rows of activations that were not trained on."],
        ["", "value"],
        [
            ["explained variance", number(fidelity.explained_variance, 3)],
            ["active latents for each row (L0)", number(fidelity.l0, 1)],
            ["dead latents", percent(fidelity.dead_share)],
            ["rows captured", f"{result.rows:,}"],
        ],
    )


def html(result: TrainedDictionary, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    sections = [_reconstruction(result)]
    if (loss := result.loss) is not None:
        sections.append(
            Section(
                "Loss recovered",
                [
                    "Cross-entropy for each token, in nats, with the activations at the hook point replaced; "
                    f"{loss.tokens:,} tokens of texts that were not trained on. The recovered share is 1 "
                    "where the reconstruction costs nothing, and 0 where it costs as much as the replacement."
                ],
                ["activations", "loss", "recovered against it"],
                [
                    ["as they are", number(loss.clean, 3), ""],
                    ["reconstruction", number(loss.spliced, 3), ""],
                    ["zeros", number(loss.zero, 3), number(loss.recovered_from_zero, 3)],
                    ["their mean", number(loss.mean, 3), number(loss.recovered_from_mean, 3)],
                ],
            )
        )
    for picture in pictures.values():
        frequency = result.tables["latents"]["frequency"].to_pylist()
        text = f"Share of held-out rows at which each latent fires. {firing_said(frequency)}"
        sections.append(Section("How often latents fire", picture=(picture, text)))
    kind, points = NAMES[result.summary["kind"]], ", ".join(result.points)
    return document(
        f"{kind} at {points}",
        "undertext sae train",
        "How well does the dictionary reconstruct?",
        {"kind": kind, "hook points": points},
        sections,
        result.run,
    )
