"""`undertext steer`."""

from collections.abc import Sequence
from pathlib import Path

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.setup import open_checkpoint
from undertext.jobs.steer.job import Steered, steer
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.controls import described
from undertext.report.numbers import estimate, percent
from undertext.steering import load_vector
from undertext.tasks.open import open_task


class SteerJob(SearchConfig):
    """What can be recovered in a checkpoint with a vector, and no training, beside controls alike?

    Writes steering.json, run.json, figures/ and tables/. `--config FILE` reads any of these options from
    a YAML file; flags override it. A job that was killed goes on where it was.
    """

    checkpoint: str | None = None
    """What is steered: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    stronger: str | None = None
    """A checkpoint that does better, for the gap and for vectors made from it; None has neither."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    vectors: tuple[Path, ...] = ()
    """Files of further vectors, as `steering.save_vector` writes them: of a probe, or a row of an SAE's
    decoder."""
    out: Path | None = None
    """Folder that the results are written to."""


def run(args: Sequence[str]) -> int:
    """Steer, write the results, print what was recovered."""
    job = parse(SteerJob, "steer", args)
    missing = [name for name in ("checkpoint", "task", "out") if getattr(job, name) is None]
    if missing:
        raise UserError(f"expected --{', --'.join(missing)} (as a flag, or as a key of --config FILE)")
    steered = steer(
        open_checkpoint(job.checkpoint or ""),
        open_task(job.task or ""),
        stronger=None if job.stronger is None else open_checkpoint(job.stronger),
        vectors=[load_vector(path) for path in job.vectors],
        config=SearchConfig(**{name: getattr(job, name) for name in SearchConfig.model_fields}),
        out=job.out,
    )
    for line in recovered_lines(steered):
        say(line)
    say(f"results: {job.out}/steering.json")
    return 0


def recovered_lines(steered: Steered) -> list[str]:
    """The headline of each split, in a few lines."""
    lines = []
    for split, vectors in steered.splits.items():
        found, accuracy = vectors[steered.headline], steered.accuracy[split]
        where, layer = described(found.setting.where), found.setting.layers[0]
        lines.append(
            f"{split}: {found.vector!r} (knows: {found.oracle}), layer {layer}, {where}, "
            f"{found.setting.operator}, dose {found.setting.dose:g}; "
            f"{percent(found.steered)} of generated tokens steered, "
            f"{percent(found.steered_of_all)} of all that were read"
        )
        lines.append(f"  accuracy {estimate(accuracy['unsteered'])} to {estimate(found.lenient)}")
        gap = "no gap to recover" if found.gap is None else f"recovered gap {estimate(found.gap)}"
        lines.append(f"  {gap}; difference {estimate(found.difference)}")
        for kind, over in found.excess.items():
            lines.append(f"  accuracy over {kind}: {estimate(over.accuracy)}")
        if found.kept is not None:
            lines.append(f"  still right of {found.solved} solved unsteered: {estimate(found.kept)}")
    effect = steered.side_effects[steered.headline]
    if effect is not None:
        lines.append(
            f"on {effect.source}: divergence {effect.divergence:.3f} nats a token, perplexity "
            f"{effect.perplexity:.1f} to {effect.perplexity_steered:.1f}"
        )
    return [*lines, *(f"note: {note}" for note in steered.notes)]
