"""Reads the reasoning beneath a fine-tune: was a capability already latent in the weaker checkpoint?

The names below load what they need when they are first used, so that `import undertext` stays quick.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from undertext.shadow import check_not_shadowed

if TYPE_CHECKING:
    from activations.checkpoint import Checkpoint
    from activations.errors import UserError
    from activations.pair import load_pair
    from undertext.comparing import compare
    from undertext.comparison import Comparison
    from undertext.config import CompareConfig, RoutesConfig, SteerConfig
    from undertext.features.config import DiffConfig, FeaturesConfig, TrainConfig
    from undertext.features.diff import FeatureDiff, feature_diff
    from undertext.features.table import FeatureTable, feature_table
    from undertext.features.training import TrainedDictionary, train_dictionary
    from undertext.probing.config import ProbeConfig
    from undertext.probing.job import probe
    from undertext.probing.result import ProbeResult
    from undertext.routes_job import routes
    from undertext.routes_result import Routes
    from undertext.sources import zoo
    from undertext.steering_job import Steered, steer
    from undertext.tasks.load import load_task
    from undertext.tasks.new import new_chain
    from undertext.tracing import Traced, read_trace

__version__ = "0.1.0"

__all__ = [
    "Checkpoint",
    "CompareConfig",
    "Comparison",
    "DiffConfig",
    "FeatureDiff",
    "FeatureTable",
    "FeaturesConfig",
    "ProbeConfig",
    "ProbeResult",
    "Routes",
    "RoutesConfig",
    "SteerConfig",
    "Steered",
    "Traced",
    "TrainConfig",
    "TrainedDictionary",
    "UserError",
    "compare",
    "feature_diff",
    "feature_table",
    "load_pair",
    "load_task",
    "new_chain",
    "probe",
    "read_trace",
    "routes",
    "steer",
    "train_dictionary",
    "zoo",
]

# The same names as above, with the module each comes from.
_LAZY = {
    "Checkpoint": "activations.checkpoint",
    "CompareConfig": "undertext.config",
    "Comparison": "undertext.comparison",
    "DiffConfig": "undertext.features.config",
    "FeatureDiff": "undertext.features.diff",
    "FeatureTable": "undertext.features.table",
    "FeaturesConfig": "undertext.features.config",
    "ProbeConfig": "undertext.probing.config",
    "ProbeResult": "undertext.probing.result",
    "Routes": "undertext.routes_result",
    "RoutesConfig": "undertext.config",
    "SteerConfig": "undertext.config",
    "Steered": "undertext.steering_job",
    "Traced": "undertext.tracing",
    "TrainConfig": "undertext.features.config",
    "TrainedDictionary": "undertext.features.training",
    "UserError": "activations.errors",
    "compare": "undertext.comparing",
    "feature_diff": "undertext.features.diff",
    "feature_table": "undertext.features.table",
    "load_pair": "activations.pair",
    "load_task": "undertext.tasks.load",
    "new_chain": "undertext.tasks.new",
    "probe": "undertext.probing.job",
    "read_trace": "undertext.tracing",
    "routes": "undertext.routes_job",
    "steer": "undertext.steering_job",
    "train_dictionary": "undertext.features.training",
    "zoo": "undertext.sources",
}

check_not_shadowed(["activations", "probes", "saes", "steering"], home=Path(__file__).parent.parent)


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_LAZY))}"
        )
    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
