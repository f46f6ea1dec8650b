"""Settings of `measure`."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from undertext.activations.patterns import pattern_groups
from undertext.core.config import GradingConfig, PairConfig
from undertext.measures.trace.changes import EDITS, PARAPHRASED, Edit
from undertext.tasks.steps_config import StepsConfig

MeasureName = Literal[
    "information", "confidence", "faithfulness", "sensitivity", "style", "shift", "uncertainty",
    "exploration", "criteria",
]  # fmt: skip
MEASURES: tuple[MeasureName, ...] = get_args(MeasureName)
ALL: Literal["all"] = "all"


def _holds_prompt(template: str) -> str:
    if "{prompt}" not in template:
        raise ValueError("expected a template with {prompt} in it")
    return template


def _pattern(pattern: str) -> str:
    pattern_groups(pattern)
    return pattern


class MeasureConfig(StepsConfig, PairConfig, GradingConfig):
    """What is measured on traces, and how."""

    names: tuple[MeasureName | Literal["all"], ...] = Field(default=(ALL,), min_length=1)
    """Measures to make: information, confidence, faithfulness, sensitivity, style, shift, uncertainty,
    exploration, criteria, or all of them."""
    split: str = "test"
    """Split whose problems are measured; train and dev are fitted and chosen on."""
    problems: int = Field(default=200, ge=2)
    """Largest number of problems that are measured, drawn by the seed."""
    max_steps: int = Field(default=200, ge=1)
    """Largest number of steps of a trace along which answers are scored; longer traces are counted and left
    out."""
    changes: tuple[Edit, ...] = Field(default=EDITS, min_length=1)
    """Changes of a trace after which the answer is read, beside the unchanged trace: truncated, corrupted,
    filler, another, irrelevant, reworded, paraphrased."""
    paraphrase: str | None = None
    """Function that paraphrases the steps of a trace, as module:function: of (steps, problem) it returns a
    list of texts, one a step, with the same meaning. Without one, no trace is paraphrased."""
    valid: str | None = None
    """Function that says which steps of a trace are valid, as module:function: of (steps, problem) it returns
    a list of true, false or None, one a step. Without one, the values that the task's steps name are looked
    for in the trace, or what the task says of its own steps."""
    templates: tuple[Annotated[str, AfterValidator(_holds_prompt)], ...] = ()
    """Templates around {prompt} that count as wordings of every problem, beside the task's paraphrases."""
    markers: Path | None = None
    """YAML file of markers by category; None takes configs/markers.yaml."""
    fit_problems: int = Field(default=400, ge=20)
    """Largest number of problems of train, and of dev, on which readings by probes are fitted and chosen."""
    dead_ends: str | None = None
    """Function that says which steps of a trace stand in a dead end, as module:function: of (steps, problem)
    it returns a list of true, false or None, one a step; None takes what the task says of its own steps
    (`dead`)."""
    says_dead: Annotated[str, AfterValidator(_pattern)] | None = None
    """Pattern of a step that says that its branch is dead, such as 'no ;$'; activations are not read at such
    a step. Where nothing else says which steps stand in a dead end, the steps with this pattern do."""
    layers: tuple[int, ...] | None = None
    """Layers at which probes read; None takes at most `max_layers` layers, evenly spaced, the last
    one included."""
    max_layers: int = Field(default=8, ge=1)
    """Number of layers that are read where `layers` is not given."""

    @property
    def made(self) -> tuple[Edit, ...]:
        """The changes that can be made: a trace is paraphrased by a function alone."""
        return tuple(each for each in self.changes if each != PARAPHRASED or self.paraphrase is not None)

    @property
    def wanted(self) -> tuple[MeasureName, ...]:
        """The measures to make, each once, in the order in which they are reported."""
        return tuple(name for name in MEASURES if ALL in self.names or name in self.names)
