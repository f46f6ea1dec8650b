"""Features that predict a problem's values in the base, followed into the organisms tuned from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.pair import check_pair
from undertext.core.statistics import Estimate, paired_difference
from undertext.measures.features.rule import feature_rule
from undertext.report.numbers import estimate
from undertext.saes import (
    FATES,
    Fates,
    Matched,
    SaeConfig,
    decoder_directions,
    feature_effects,
    follow,
    label_association,
    match_controls,
    read_pair,
    sort_fates,
    train_sae,
)
from undertext.tasks.task import Task
from undertext.tasks.value_positions import reading_text, value_positions

FOLLOWED = ("base", "elicited", "preserved", "suppressed", "overwritten")
CONTROLS = 8
"""Random features of like frequency for each value feature."""
MOST = 200
"""Values that are written with features ablated."""


@dataclass(frozen=True, eq=False)
class Followed:
    """Value features of the base in one organism, on `test`."""

    chosen: Int[Tensor, " value"]
    fates: Fates
    fate: tuple[str, ...]
    """Fate of each value's feature."""
    written: float
    """Share of values written right without ablation."""
    ablated: float
    """Share of values written right with the value's own feature ablated."""
    controls: float
    """Share of values written right with random features of like frequency ablated, mean over these."""
    cost: Estimate
    """`ablated` less `controls`, paired over values."""

    @property
    def auroc(self) -> Float[Tensor, "model value"]:
        """AUROC of each value's feature for its value, in the base and in the organism."""
        assert self.fates.auroc is not None
        return self.fates.auroc[:, torch.arange(len(self.chosen)), self.chosen]

    @property
    def frequency(self) -> float:
        """How often the features fire in the organism, over how often in the base."""
        base, here = self.fates.frequency[:, self.chosen]
        return float(here.mean() / base.mean())

    def row(self, name: str) -> list[str]:
        """A row of the page's table."""
        counts = [self.fate.count(fate) for fate in ("stable", "moved", "silenced")]
        shares = [f"{share:.2f}" for share in (self.written, self.ablated, self.controls)]
        return [
            name,
            f"{float(self.auroc[1].min()):.2f}",
            f"{self.frequency:.2f}",
            *map(str, counts),
            *shares,
            estimate(self.cost),
        ]


def follow_values(
    folder: Path, base: Checkpoint, task: Task, *, layer: int, seed: int, steps: int
) -> Iterator[tuple[str, Followed]]:
    """Each organism's name and what became of the base's value features in it, the base itself first."""
    point = HookPoint(layer, "resid_post")
    texts = [reading_text(problem) for problem in task.split("train")]
    config = SaeConfig(d_sae=512, k=8, steps=steps, batch_size=512, held_out=2000, lr=1e-3, seed=seed)
    rows = capture(base, texts, [point], "all")[point]
    sae = train_sae(rows, config, point=point, of=base, progress=False).sae
    dev, test = _before_values(base, task, "dev"), _before_values(base, task, "test")
    at_dev = capture(base, dev[0], [point]).activations
    on_dev = read_pair(sae, (at_dev, at_dev)).base
    association = label_association(on_dev, dev[1])
    chosen = association.auroc.nan_to_num(0.5).argmax(dim=1)
    frequency = (on_dev.counts / on_dev.n).float()
    # One at a time: a feature may be the best of two values, and serves as no control of the other.
    matched = match_controls(
        decoder_directions(sae), frequency, chosen.unique().tolist(), controls=CONTROLS, seed=seed
    )
    for name in FOLLOWED:
        pair = check_pair(base, Checkpoint.load(folder / name))
        base_rows, own_rows = (capture(each, test[0], [point]).activations for each in pair)
        fates = follow(read_pair(sae, (base_rows, own_rows)), test[1])
        kinds = tuple(FATES[i] for i in sort_fates(fates, feature_rule().fates).index[chosen])
        yield name, Followed(chosen, fates, kinds, *_written(pair.tuned, test, matched, chosen, point))


def _before_values(base: Checkpoint, task: Task, split: str) -> tuple[list[list[int]], Int[Tensor, " n"]]:
    """Texts up to just before each value is written, as token ids, and the values."""
    texts, values = [], []
    for problem in task.split(split):
        whole = reading_text(problem)
        for site in value_positions(problem):
            texts.append(whole[: site.char_offset].rstrip())
            values.append(int(site.value))
    return base.encode(texts), torch.tensor(values)


def _written(
    checkpoint: Checkpoint,
    test: tuple[Sequence[list[int]], Int[Tensor, " n"]],
    matched: Matched,
    chosen: Int[Tensor, " value"],
    point: HookPoint,
) -> tuple[float, float, float, Estimate]:
    prompts, values = test[0][:MOST], test[1][:MOST]
    effects = feature_effects(
        checkpoint,
        prompts,
        lambda i, text, cut: text.strip() == str(int(values[i])),
        matched,
        point,
        at="last_prompt",
        max_new_tokens=1,
    )
    # Of each text, the feature of the value that is to be written there.
    own = torch.searchsorted(matched.features.contiguous(), chosen)[values]
    text = torch.arange(len(values))
    ablated = effects.changed[own, text].double()
    controls = effects.controls[own, :, text].double().mean(dim=1)
    cost = paired_difference(controls.numpy(), ablated.numpy())
    return float(effects.plain.double().mean()), float(ablated.mean()), float(controls.mean()), cost
