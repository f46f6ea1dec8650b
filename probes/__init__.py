"""Linear probes over many layers at once, and the controls that make their figures mean something."""

from probes.controls import Surface, control_labels
from probes.folds import folds_of
from probes.lda import LDAProbe
from probes.logistic import LogisticProbe, logistic_path
from probes.logistic_cv import LogisticProbeCV
from probes.low_rank import LowRankProbe
from probes.means import MeansProbe
from probes.readings import STRENGTHS, Reading, read
from probes.ridge import RidgeProbe, RidgeProbeCV
from probes.stored import Stored

__all__ = [
    "STRENGTHS",
    "LDAProbe",
    "LogisticProbe",
    "LogisticProbeCV",
    "LowRankProbe",
    "MeansProbe",
    "Reading",
    "RidgeProbe",
    "RidgeProbeCV",
    "Stored",
    "Surface",
    "control_labels",
    "folds_of",
    "logistic_path",
    "read",
]
