"""Linear probes over many layers at once, and the controls that make their figures mean something."""

from probes.controls import Surface, control_labels
from probes.folds import folds_of
from probes.lda import LDAProbe
from probes.lens import lens_log_probs, lens_logits
from probes.lens_files import load_lens, save_lens
from probes.lens_training import lens_kl, train_tuned_lens
from probes.logistic import LogisticProbe, logistic_path
from probes.logistic_cv import LogisticProbeCV
from probes.low_rank import LowRankProbe
from probes.means import MeansProbe
from probes.readings import STRENGTHS, Reading, read
from probes.ridge import RidgeProbe, RidgeProbeCV
from probes.stored import Stored
from probes.trace import Leads, TraceReading, lens_reader, probe_reader, read_traces
from probes.tuned_lens import TunedLens

__all__ = [
    "STRENGTHS",
    "LDAProbe",
    "Leads",
    "LogisticProbe",
    "LogisticProbeCV",
    "LowRankProbe",
    "MeansProbe",
    "Reading",
    "RidgeProbe",
    "RidgeProbeCV",
    "Stored",
    "Surface",
    "TraceReading",
    "TunedLens",
    "control_labels",
    "folds_of",
    "lens_kl",
    "lens_log_probs",
    "lens_logits",
    "lens_reader",
    "load_lens",
    "logistic_path",
    "probe_reader",
    "read",
    "read_traces",
    "save_lens",
    "train_tuned_lens",
]
