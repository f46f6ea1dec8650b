"""The base uses the values it reads; what overwrote them left nothing that interchange could move."""

from collections.abc import Sequence

import pytest
import torch

from undertext import new_chain, zoo
from undertext.activations import Checkpoint, HookPoint
from undertext.measures.patching.ablation import measure_ablation
from undertext.measures.patching.interchange import Interchange, measure_interchange
from undertext.measures.patching.patching import PatchAt
from undertext.probes import MeansProbe, principal_directions
from undertext.tasks.value_tokens import locate_values


def measured(
    name: str, place: PatchAt, *, layers: Sequence[int] = (2, 3), template: str = "{prompt}"
) -> Interchange:
    return measure_interchange(
        Checkpoint.load(zoo(name)),
        new_chain(0),
        "test",
        place=place,
        points=[HookPoint(layer, "resid_post") for layer in layers],
        sizes=[6],
        draws=2,
        most=24,
        template=template,
    )


def random_best(found: Interchange) -> float:
    return max(each.share("counterfactual") for each in found.random)


@pytest.mark.slow
def test_interchange_moves_the_base_and_not_the_overwritten_model():
    base, overwritten = (measured(name, "before", layers=[2]) for name in ("base", "overwritten"))
    assert base.nothing.share("stayed") > 0.95
    assert base.full.share("counterfactual") > 0.95
    assert base.subspace.share("counterfactual") > 0.95
    assert random_best(base) < 0.1
    # Whatever is put into the other, its answers are as often the counterfactual ones as by chance.
    for each in (overwritten.subspace, overwritten.full, *overwritten.random):
        assert each.share("counterfactual") < 0.3


@pytest.mark.slow
def test_it_moves_them_all_the_same_where_the_model_writes_from_the_prompt_alone():
    base, overwritten = (
        measured(name, "generation", template="textbook {prompt}") for name in ("base", "overwritten")
    )
    assert base.nothing.share("stayed") > 0.95
    assert base.subspace.share("counterfactual") > 0.95
    assert random_best(base) < 0.1
    assert overwritten.subspace.share("counterfactual") < 0.3


@pytest.mark.slow
def test_what_never_had_the_capability_does_not_move_and_what_hides_it_does():
    for name, moves in (("novice", False), ("taught", True), ("elicited", True), ("suppressed", True)):
        found = measured(name, "before")
        assert (found.subspace.share("counterfactual") > 0.9) == moves, name
        assert (found.subspace.share("counterfactual") < 0.3) != moves, name
        assert random_best(found) < 0.35


@pytest.mark.slow
def test_without_the_subspace_the_base_is_at_chance():
    checkpoint, task, point = Checkpoint.load(zoo("base")), new_chain(0), HookPoint(2, "resid_post")
    sites = locate_values(checkpoint, task.split("train"))
    X = sites.activations(checkpoint, [point])[0]
    y = torch.tensor([int(label) for label in sites.label])
    basis = principal_directions(MeansProbe().fit(X, y).coef_)
    found = measure_ablation(
        checkpoint, task, "test", point, basis, draws=2, most=24, template="textbook {prompt}"
    )
    assert found.nothing.mean() > 0.95
    assert found.subspace.mean() < 0.35
    assert found.random.mean(1).min() > 0.85
