"""The settings by which texts are read through an SAE."""

from pydantic import Field

from undertext.activations.hookpoint import Site
from undertext.core.config import GradingConfig


class EncodingConfig(GradingConfig):
    """Where an SAE reads, on which splits, and against which labels its features are measured."""

    layer: int | None = Field(default=None, ge=0)
    """Layer that the SAE reads; None takes the layer that the SAE itself names."""
    site: Site = "resid_post"
    """Site within the layer that the SAE reads, used only where a layer is given."""
    choose: str = "dev"
    """Split on which features are chosen: the class a feature predicts best, and the features that have a
    page."""
    split: str = "test"
    """Split on which the chosen features are reported."""
    skip: int = Field(default=0, ge=0)
    """Number of tokens left out at the beginning of every text."""
    bins: int = Field(default=4, ge=2)
    """Number of bins of a feature's strength for mutual information, silence being one of them."""
    max_classes: int = Field(default=100, ge=2)
    """Largest number of distinct values of a named value that is measured; values with more are left
    out, and notes name them."""
    pages: int = Field(default=12, ge=0)
    """Number of features that have a page: those most associated with the task's values."""
