"""Linear probes over many layers at once, controls that make their figures mean something, interchange."""

from undertext.probes.alignment import Alignment, mispaired_rows, procrustes
from undertext.probes.checks import Labelled
from undertext.probes.controls import Surface, control_draws, control_labels, shuffled_draws
from undertext.probes.files import SavedProbe, load_probe, save_probe
from undertext.probes.folds import folds_of
from undertext.probes.interchange import (
    Changed,
    Patch,
    Subspaces,
    centre_patches,
    patch_subspace,
    points_of,
    source_patches,
)
from undertext.probes.lda import LDAProbe
from undertext.probes.leace import Eraser, leace
from undertext.probes.lens import lens_log_probs, lens_logits
from undertext.probes.lens_training import lens_kl, train_tuned_lens
from undertext.probes.logistic import STRENGTHS, LogisticProbe, SelectedProbe, fit_select, logistic_path
from undertext.probes.logistic_cv import LogisticProbeCV
from undertext.probes.low_rank import LowRankProbe
from undertext.probes.means import MeansProbe
from undertext.probes.online_code import OnlineCode, online_code
from undertext.probes.ridge import RidgeProbe, RidgeProbeCV
from undertext.probes.similarity import linear_cka
from undertext.probes.subspace import (
    mean_ablated,
    orthonormal_rows,
    principal_angles,
    principal_directions,
    random_subspaces,
    span_of,
)
from undertext.probes.trace import Leads, TraceReading, lens_reader, probe_reader, read_traces
from undertext.probes.tuned_lens import TunedLens

__all__ = [
    "STRENGTHS",
    "Alignment",
    "Changed",
    "Eraser",
    "LDAProbe",
    "Labelled",
    "Leads",
    "LogisticProbe",
    "LogisticProbeCV",
    "LowRankProbe",
    "MeansProbe",
    "OnlineCode",
    "Patch",
    "RidgeProbe",
    "RidgeProbeCV",
    "SavedProbe",
    "SelectedProbe",
    "Subspaces",
    "Surface",
    "TraceReading",
    "TunedLens",
    "centre_patches",
    "control_draws",
    "control_labels",
    "fit_select",
    "folds_of",
    "leace",
    "lens_kl",
    "lens_log_probs",
    "lens_logits",
    "lens_reader",
    "linear_cka",
    "load_probe",
    "logistic_path",
    "mean_ablated",
    "mispaired_rows",
    "online_code",
    "orthonormal_rows",
    "patch_subspace",
    "points_of",
    "principal_angles",
    "principal_directions",
    "probe_reader",
    "procrustes",
    "random_subspaces",
    "read_traces",
    "save_probe",
    "shuffled_draws",
    "source_patches",
    "span_of",
    "train_tuned_lens",
]
