"""What `sae diff` has found, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from undertext.core.result import Headline, Result, typed
from undertext.measures.features.effects import FeatureEffect
from undertext.saes.pages import FeaturePage, page_of


@dataclass(frozen=True, eq=False)
class FeatureDiff(Result):
    """The answer of `feature_diff`.

    Tables: `features` of an SAE or `latents` of a crosscoder, a row each; `classes`, the AUROC of each for
    each class of each labelling; `effects` on answers; `pages`. docs/saes.md says what the columns hold.
    """

    @property
    def fates(self) -> Mapping[str, float] | None:
        """Shares of the features of an SAE by fate; None for a crosscoder."""
        return self.summary.get("fates")

    @property
    def effects(self) -> tuple[FeatureEffect, ...]:
        """Effects on answers of the features most associated with the task's values."""
        effects: tuple[FeatureEffect, ...] = typed(tuple[FeatureEffect, ...], self.summary.get("effects", []))
        return effects

    @property
    def pages(self) -> tuple[FeaturePage, ...]:
        """Pages of the features most associated with the task's values, in that order."""
        return tuple(map(page_of, self.tables["pages"].to_pylist())) if "pages" in self.tables else ()

    def page(self, feature: int) -> Any:
        """The page of one feature, which a notebook shows. UserError naming the features that have one."""
        return self._report().page(self, feature)

    def headline(self) -> Headline:
        """One row: shares of an SAE's features by fate, or of a crosscoder's latents by kind."""
        fates = self.fates
        shares = dict(self.summary["kinds"]["scaling"] if fates is None else fates)
        return Headline([shares], (), tuple(shares))
