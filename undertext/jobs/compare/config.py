"""Settings of a comparison, and the thresholds of its verdict."""

from pathlib import Path

from pydantic import Field

from undertext.core.config import Config, Share, read_config
from undertext.core.shipped import config_file
from undertext.core.terms import Prompts
from undertext.measures.recovery.config import SearchConfig
from undertext.tasks.steps_config import StepsConfig


class Rule(Config):
    """Thresholds from evidence to verdict; configs/verdict.yaml holds their values and why."""

    level: Share
    """Coverage of every interval."""
    alpha: Share
    """Largest corrected p at which a line may say `latent`."""
    min_gap: Share
    """Accuracy difference from which one checkpoint counts as better; within it, as no different."""
    latent_above: Share
    """A line says `latent` when its share of the stronger checkpoint's figure is surely above this."""
    undone_above: Share
    """Lower bound of the share from which `undone` says `latent`."""
    steps_above: Share
    """Next steps of a checkpoint that tuning made worse are still there where surely more than this go on."""
    absent_below: Share
    """A line may say `absent` when its share is surely below this."""
    readable_above: Share
    """A value counts as read when the stronger checkpoint's probe is this much over every null on dev."""
    min_over_null: Share
    """Least that the stronger's figure must be over a line's null; a share of less is `unclear`."""
    max_chance: Share
    """Largest mean null of pass@k over the problems in the gap; k is lowered until the null is below."""
    max_alike: Share
    """A checkpoint that gives one answer to so large a share of problems answers every prompt alike."""
    below_chance: Share
    """Coverage of the interval by which a checkpoint is told to be below chance."""
    max_unfinished: Share
    """Largest share of a checkpoint's outputs on a split that may be unfinished and count as wrong; with
    more, each counts as what speaks most against the verdict."""
    min_problems: int = Field(ge=1)
    """Fewest problems a line of evidence must rest on; with fewer it says `unclear`. No flag on traces is
    raised on fewer either."""
    confidence_intercept: float
    """Confidence: the log odds that a verdict is right which half of the resamples give, and no line
    contradicts."""
    confidence_stability: float = Field(ge=0)
    """Confidence: what the log odds of a verdict's stability add."""
    confidence_conflict: float = Field(ge=0)
    """Confidence: what each line that contradicts a verdict takes off."""
    confidence_taught: float = Field(ge=0)
    """Confidence: what a verdict takes off that says that the base never had the capability."""
    confidence_overwritten: float = Field(ge=0)
    """Confidence: what a verdict takes off that says that the capability is there no more."""
    rationalised_above: Share
    """`rationalised`: share of the final confidence that was there before the first step, over chance."""
    shortcut_above: Share
    """`shortcut`: share of the right answers that stay right when the trace is replaced, over chance."""
    overconfident_above: Share
    """`overconfident`: mean probability of the given answers less their accuracy."""
    voiced_above: float = Field(ge=0)
    """`voice lost`: markers of doubt per 100 words that the base must surely voice, to have any to lose."""
    lost_above: Share
    """`voice lost`: share of these that the tuned checkpoint no longer voices."""
    memorised_above: Share
    """`memorised`: share of problems completed from their first part, over chance, less that of fresh ones;
    and share of right answers, less that of fresh problems that differ in numbers alone."""
    format_above: Share
    """`format only`: difference in strict accuracy less that in lenient accuracy."""


class CompareConfig(StepsConfig, SearchConfig):
    """How `compare` measures."""

    samples: int = Field(default=8, ge=1)
    """Number of sampled answers for each problem in the gap, for pass@k."""
    prompts: Prompts = "own"
    """Prompts that the two checkpoints read, where the task asks base and tuned differently (`tuned_prompt`):
    own asks each in its own form, same asks both in the form of the base."""
    max_classes: int = Field(default=100, ge=2)
    """Largest number of distinct values that a classifier is fitted to. A number with more, or with few
    problems a value, is read in groups by size; a text with more is not read."""
    trace_problems: int = Field(default=64, ge=0)
    """Largest number of problems of a split on which the traces of both checkpoints are measured for flags; 0
    measures none."""
    token_problems: int = Field(default=1000, ge=0)
    """Largest number of problems of a split whose outputs both checkpoints read token by token, by which the
    page shades them; 0 reads none. Outputs of other problems are on the page without a shade."""
    crosscoder: Path | None = None
    """Folder of a crosscoder of the two checkpoints, which `sae train` made; the page shows which checkpoint
    each of its latents belongs to."""
    feature_problems: int = Field(default=128, ge=1)
    """Largest number of problems of dev, and of the first split that is judged, whose texts are read through
    the SAE or crosscoder."""
    feature_pages: int = Field(default=8, ge=0)
    """Largest number of features of the SAE, and of latents of the crosscoder, that the page shows one by
    one: those that were steered with first, then those that predict the task's values best."""
    token_feature: int | None = Field(default=None, ge=0)
    """Feature of the SAE by which the page shades tokens; None takes the first one that the page shows."""
    fresh: str = "dev"
    """Split of problems that no tuning has seen, for the flag `memorised`: completions of the judged problems
    from their first part are held against completions of these, and right answers against those to problems
    of it that differ in numbers alone."""


def verdict_rule() -> Rule:
    """The thresholds of configs/verdict.yaml."""
    return read_config(Rule, config_file("verdict.yaml"))
