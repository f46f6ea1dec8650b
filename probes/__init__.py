"""Linear probes over many layers at once, controls that make their figures mean something, interchange."""

from undertext.probes.alignment import Alignment, mispaired_rows, procrustes
from undertext.probes.controls import Surface, control_labels
from undertext.probes.draws import control_draws, shuffled_draws
from undertext.probes.fit_select import STRENGTHS, SelectedProbe, fit_select
from undertext.probes.folds import folds_of
from undertext.probes.interchange import Changed, Subspaces, interchange, patch_subspace
from undertext.probes.labelled import Labelled, Probe, Recipe
from undertext.probes.lda import LDAProbe
from undertext.probes.leace import Eraser, leace
from undertext.probes.lens import lens_log_probs, lens_logits
from undertext.probes.lens_files import load_lens, save_lens
from undertext.probes.lens_training import lens_kl, train_tuned_lens
from undertext.probes.logistic import LogisticProbe, logistic_path
from undertext.probes.logistic_cv import LogisticProbeCV
from undertext.probes.low_rank import LowRankProbe
from undertext.probes.means import MeansProbe
from undertext.probes.nullspace import Nullspace, iterated_nullspace
from undertext.probes.online_code import OnlineCode, online_code
from undertext.probes.ridge import RidgeProbe, RidgeProbeCV
from undertext.probes.selectivity import (
    Controlled,
    against_control_task,
    against_features,
    against_shuffled,
)
from undertext.probes.similarity import linear_cka
from undertext.probes.stored import Stored
from undertext.probes.subspace import (
    mean_ablated,
    orthonormal_rows,
    principal_angles,
    principal_directions,
    random_subspaces,
    span_of,
)
from undertext.probes.trace import Leads, TraceReading, lens_reader, probe_reader, read_traces
from undertext.probes.transfer import Transfer, leave_one_out, transfer
from undertext.probes.transport import Transported, transport
from undertext.probes.tuned_lens import TunedLens
from undertext.probes.types_left_out import TypesLeftOut, leave_types_out

__all__ = [
    "STRENGTHS",
    "Alignment",
    "Changed",
    "Controlled",
    "Eraser",
    "LDAProbe",
    "Labelled",
    "Leads",
    "LogisticProbe",
    "LogisticProbeCV",
    "LowRankProbe",
    "MeansProbe",
    "Nullspace",
    "OnlineCode",
    "Probe",
    "SelectedProbe",
    "Recipe",
    "RidgeProbe",
    "RidgeProbeCV",
    "Stored",
    "Subspaces",
    "Surface",
    "TraceReading",
    "Transfer",
    "Transported",
    "TunedLens",
    "TypesLeftOut",
    "against_control_task",
    "against_features",
    "against_shuffled",
    "control_draws",
    "control_labels",
    "folds_of",
    "hold",
    "interchange",
    "iterated_nullspace",
    "leace",
    "leave_one_out",
    "leave_types_out",
    "lens_kl",
    "lens_log_probs",
    "lens_logits",
    "lens_reader",
    "linear_cka",
    "load_lens",
    "logistic_path",
    "mean_ablated",
    "mispaired_rows",
    "online_code",
    "orthonormal_rows",
    "principal_angles",
    "principal_directions",
    "probe_reader",
    "procrustes",
    "random_subspaces",
    "read",
    "read_traces",
    "save_lens",
    "shuffled_draws",
    "span_of",
    "train_tuned_lens",
    "transfer",
    "transport",
]
