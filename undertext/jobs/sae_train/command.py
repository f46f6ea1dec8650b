"""`undertext sae train`, `features`, `diff` and `zoo`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from tqdm.auto import tqdm

from docs.make.fates_table import fates_table, put_between_markers
from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.config import Config, read_config
from undertext.core.output import publish
from undertext.core.shipped import SHIPPED, config_file
from undertext.jobs.sae_diff.job import feature_diff
from undertext.jobs.sae_features.config import DiffConfig, FeaturesConfig, TrainConfig
from undertext.jobs.sae_features.job import feature_table
from undertext.jobs.sae_train.job import RESULT, TrainedDictionary, train_dictionary
from undertext.report.numbers import number, percent
from undertext.tasks.open import open_task

USAGE = "undertext sae train|features|diff|zoo [--config FILE] [OPTIONS]   (--help after one says more)"
Model = TypeVar("Model", bound=BaseModel)


class TrainJob(TrainConfig):
    """Train an SAE of a checkpoint, of what tuning added to it, or a crosscoder of both.

    Captures into `out`/activations, trains by sae-lens into `out`/sae in its format, and writes result.json
    (recovered loss, explained variance, L0, dead share) and run.json. Stopped and called again, it goes on.
    `--config FILE` reads any of these options from a YAML file; flags override it.
    """

    checkpoint: str | None = None
    """A Hugging Face folder or hub id, an adapter's folder, or zoo:NAME; the base, where there is a tuned."""
    tuned: str | None = None
    """The tuned checkpoint, for a difference and for a crosscoder."""
    task: str | None = None
    """Whose texts are read: a task's folder, or zoo:chain for the built-in task."""
    texts: Path | None = None
    """In place of a task: a file, a text a line."""
    store: Path | None = None
    """In place of both: a folder that was captured already."""
    out: Path | None = None
    """Folder the results are written to."""


class FeaturesJob(FeaturesConfig):
    """What every feature of an SAE tells of a task's values and steps, and whether it withstands the trials.

    Writes tables/features.parquet, tables/classes.parquet, features.json, report.html with a page for each of
    the features that tell the most, and run.json. `--config FILE` reads any of these options from a YAML
    file; flags override it.
    """

    sae: str | None = None
    """A folder that sae-lens saved an SAE in, or a release of its table or of the hub, with its sae_id."""
    sae_id: str | None = None
    """Which SAE of the release."""
    checkpoint: str | None = None
    """What the SAE reads: a Hugging Face folder or hub id, an adapter's folder, or zoo:NAME."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder the results are written to."""


class DiffJob(DiffConfig):
    """What became in a tuned checkpoint of the features of an SAE; or whose the latents of a crosscoder are.

    Writes tables/, diff.json, report.html (base and tuned side by side) and run.json. A job that was killed
    goes on where it was. `--config FILE` reads any of these options from a YAML file; flags override it.
    """

    base: str | None = None
    """The base checkpoint: a Hugging Face folder or hub id, or zoo:NAME for a shipped organism."""
    tuned: str | None = None
    """The tuned checkpoint, likewise; a PEFT adapter's folder will do."""
    sae: str | None = None
    """The SAE whose features are followed: a folder that sae-lens saved, or a release with its sae_id."""
    sae_id: str | None = None
    """Which SAE of the release."""
    crosscoder: Path | None = None
    """In place of an SAE: the folder of a crosscoder that `sae train` made."""
    task: str | None = None
    """The task's folder, or zoo:chain for the built-in task."""
    out: Path | None = None
    """Folder the results are written to."""


class ZooJob(Config):
    """What became of the base's features in every organism: a table, put between two lines of a file.

    By the shipped configs sae_chain.yaml and diff_chain.yaml.
    """

    into: Path | None = None
    """A file with the two lines between which the table goes; None prints it."""
    folder: Path = SHIPPED
    """Folder that holds organisms; the shipped zoo by default."""


def run(args: Sequence[str]) -> int:
    """Dispatch."""
    commands = {"train": _train, "features": _features, "diff": _diff, "zoo": _zoo}
    if args[:1] and args[0] in commands:
        return commands[args[0]](args[1:])
    if set(args) & {"-h", "--help"}:
        say(f"usage: {USAGE}")
        return 0
    raise UserError(f"expected {USAGE}")


def _train(args: Sequence[str]) -> int:
    job = parse(TrainJob, "sae train", args)
    _ask(job, "out")
    out = job.out or Path()
    trained = train_dictionary(
        job.checkpoint, job.tuned, task=job.task, texts=job.texts, store=job.store,
        config=_only(TrainConfig, job), out=out,
    )  # fmt: skip
    for line in fidelity_lines(trained):
        say(line)
    say(f"saved: {trained.folder}; results: {out / RESULT}")
    return 0


def fidelity_lines(trained: TrainedDictionary) -> list[str]:
    """How well it does, in a line or two."""
    found, loss = trained.fidelity, trained.loss
    lines = [
        f"explained variance {found.explained_variance:.3f}, L0 {found.l0:.1f}, "
        f"dead {100 * found.dead_share:.1f}% ({found.rows} rows held out)"
    ]
    if loss is not None:
        shares = (number(share, 3) for share in (loss.recovered_from_zero, loss.recovered_from_mean))
        lines.append(
            f"loss recovered {' from zeros, '.join(shares)} from the mean (clean {loss.clean:.3f}, "
            f"spliced {loss.spliced:.3f}, zeros {loss.zero:.3f}, mean {loss.mean:.3f}; {loss.tokens} tokens)"
        )
    return lines


def _features(args: Sequence[str]) -> int:
    job = parse(FeaturesJob, "sae features", args)
    _ask(job, "sae", "checkpoint", "task", "out")
    found = feature_table(
        job.checkpoint, job.task or "", job.sae or "", sae_id=job.sae_id,
        config=_only(FeaturesConfig, job), out=job.out,
    )  # fmt: skip
    summary = found.summary
    say(f"{summary['alive']} of {summary['features']} features live; the most is told by {summary['top']}")
    for name, which in (("tested", "were tested"), ("tell_the_most", "tell the most")):
        one = summary[name]
        say(f"of {one['features']} features that {which}, {percent(one['fail'])} fail")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"report: {job.out}/report.html")
    return 0


def _diff(args: Sequence[str]) -> int:
    job = parse(DiffJob, "sae diff", args)
    _ask(job, "base", "tuned", "task", "out")
    found = feature_diff(
        job.base, job.tuned, job.task or "", sae=job.sae, sae_id=job.sae_id, crosscoder=job.crosscoder,
        config=_only(DiffConfig, job), out=job.out,
    )  # fmt: skip
    for line in diff_lines(found.summary):
        say(line)
    say(f"report: {job.out}/report.html")
    return 0


def _zoo(args: Sequence[str]) -> int:
    job = parse(ZooJob, "sae zoo", args)
    task = open_task("zoo:chain")
    assert not isinstance(task, str)
    if job.into is not None:
        put_between_markers(job.into, "")
    training = _only(TrainConfig, read_config(TrainJob, config_file("sae_chain.yaml")))
    config = _only(DiffConfig, read_config(DiffJob, config_file("diff_chain.yaml")))
    with tqdm(bar_format="{desc} {elapsed}", disable=None) as bar:
        table = fates_table(job.folder, task, training, config, bar.set_description_str)
    if job.into is None:
        say(table)
        return 0
    publish({job.into.name: put_between_markers(job.into, table).encode()}, job.into.parent)
    say(f"{job.into}")
    return 0


def diff_lines(summary: Mapping[str, Any]) -> list[str]:
    """What became of the features, in a few lines."""
    if "kinds" in summary:
        return [f"by {sort}: {_said(shares)}" for sort, shares in summary["kinds"].items()]
    lines = [
        f"matched in size: {_said(summary['fates'])}",
        f"at their own size: {_said(summary['fates_at_own_size'])}",
    ]
    for each in summary["carriers"]:
        auroc = each["auroc"]
        lines.append(
            f"{each['value']} = {each['class']}: feature {each['feature']} {each['fate']}, "
            f"AUROC {number(auroc['base'])} to {number(auroc['tuned'])}"
        )
    return lines


def _said(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in shares.items())


def _ask(job: BaseModel, *names: str) -> None:
    missing = [name.replace("_", "-") for name in names if getattr(job, name) is None]
    if missing:
        raise UserError(f"expected --{', --'.join(missing)} (as a flag, or as a key of --config FILE)")


def _only(kind: type[Model], job: BaseModel) -> Model:
    """The part of a job that is its config."""
    return kind.model_validate({name: getattr(job, name) for name in kind.model_fields})
