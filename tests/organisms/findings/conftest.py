"""Recipes cut to toy size."""

from dataclasses import replace

import pytest

from undertext.organisms.findings import build as building
from undertext.organisms.findings.recipes import FINDING_RECIPES, FindingRecipe, Rewarded
from undertext.organisms.training import Stage


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> dict[str, FindingRecipe]:
    """Every recipe cut to two steps of a few rows."""
    small = {
        name: replace(recipe, stages=tuple(map(_cut, recipe.stages)))
        for name, recipe in FINDING_RECIPES.items()
    }
    monkeypatch.setattr(building, "FINDING_RECIPES", small)
    return small


def _cut(stage: Stage) -> Stage:
    if isinstance(stage.mixture, Rewarded):
        return replace(stage, steps=2, batch=16, mixture=replace(stage.mixture, room=4))
    return replace(stage, steps=2, batch=4)
