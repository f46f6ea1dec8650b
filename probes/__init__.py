"""Linear probes over many layers at once, controls that make their figures mean something, interchange."""

from probes.controls import Surface, control_labels
from probes.folds import folds_of
from probes.interchange import Changed, Subspaces, hold, interchange
from probes.lda import LDAProbe
from probes.logistic import LogisticProbe, logistic_path
from probes.logistic_cv import LogisticProbeCV
from probes.low_rank import LowRankProbe
from probes.means import MeansProbe
from probes.readings import STRENGTHS, Reading, read
from probes.ridge import RidgeProbe, RidgeProbeCV
from probes.stored import Stored
from probes.subspaces import principal_directions, random_subspaces

__all__ = [
    "STRENGTHS",
    "Changed",
    "LDAProbe",
    "LogisticProbe",
    "LogisticProbeCV",
    "LowRankProbe",
    "MeansProbe",
    "Reading",
    "RidgeProbe",
    "RidgeProbeCV",
    "Stored",
    "Subspaces",
    "Surface",
    "control_labels",
    "folds_of",
    "hold",
    "interchange",
    "logistic_path",
    "principal_directions",
    "random_subspaces",
    "read",
]
