"""Linear probes over many layers at once, controls that make their figures mean something, interchange."""

from probes.alignment import Alignment, mispaired_rows, procrustes
from probes.controls import Surface, control_labels
from probes.draws import control_draws, shuffled_draws
from probes.folds import folds_of
from probes.interchange import Changed, Subspaces, hold, interchange
from probes.labelled import Labelled, Probe, Recipe
from probes.lda import LDAProbe
from probes.leace import Eraser, leace
from probes.lens import lens_log_probs, lens_logits
from probes.lens_files import load_lens, save_lens
from probes.lens_training import lens_kl, train_tuned_lens
from probes.logistic import LogisticProbe, logistic_path
from probes.logistic_cv import LogisticProbeCV
from probes.low_rank import LowRankProbe
from probes.means import MeansProbe
from probes.nullspace import Nullspace, iterated_nullspace
from probes.online_code import OnlineCode, online_code
from probes.readings import STRENGTHS, Reading, read
from probes.ridge import RidgeProbe, RidgeProbeCV
from probes.selectivity import Controlled, against_control_task, against_features, against_shuffled
from probes.similarity import linear_cka
from probes.stored import Stored
from probes.subspace import (
    mean_ablated,
    orthonormal_rows,
    principal_angles,
    principal_directions,
    random_subspaces,
    span_of,
)
from probes.trace import Leads, TraceReading, lens_reader, probe_reader, read_traces
from probes.transfer import Transfer, leave_one_out, transfer
from probes.transport import Transported, transport
from probes.tuned_lens import TunedLens
from probes.types_left_out import TypesLeftOut, leave_types_out

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
    "Reading",
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
