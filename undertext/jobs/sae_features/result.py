"""What `sae features` has found, as plain data."""

from dataclasses import dataclass
from typing import Any

from undertext.core.result import Headline, Result
from undertext.saes.pages import FeaturePage, page_of


@dataclass(frozen=True, eq=False)
class FeatureTable(Result):
    """The answer of `feature_table`.

    Tables: `features`, a row a feature; `classes`, the AUROC of each feature for each class of each
    labelling; `pages`, of the features most associated with the task's values. docs/saes.md says what the
    columns hold.
    """

    @property
    def pages(self) -> tuple[FeaturePage, ...]:
        """Pages of the features most associated with the task's values, in that order."""
        return tuple(map(page_of, self.tables["pages"].to_pylist())) if "pages" in self.tables else ()

    def page(self, feature: int) -> Any:
        """The page of one feature, which a notebook shows. UserError naming the features that have one."""
        return self._report().page(self, feature)

    def headline(self) -> Headline:
        """A row for the features tested, and one for those most associated with the task's values."""
        names = ("features", "fail", "word_detectors", "wording_bound")
        rows = [
            {"which": which, **{name: shares[name] for name in names}}
            for which, shares in self.summary["falsification"].items()
        ]
        return Headline(rows, ("which",), ("fail", "word_detectors", "wording_bound"))
