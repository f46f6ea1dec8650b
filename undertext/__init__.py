"""Reads the reasoning beneath a fine-tune: was a capability already latent in the weaker checkpoint?

The names below load what they need when they are first used, so that `import undertext` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undertext.activations.checkpoint import Checkpoint
    from undertext.activations.errors import UserError
    from undertext.activations.pair import load_pair
    from undertext.core.shipped import zoo
    from undertext.jobs.compare.checkpoints.job import compare_checkpoints
    from undertext.jobs.compare.checkpoints.result import CheckpointComparisons
    from undertext.jobs.compare.config import CompareConfig
    from undertext.jobs.compare.inspect_logs import to_inspect
    from undertext.jobs.compare.job import compare
    from undertext.jobs.compare.result import Comparison
    from undertext.jobs.measure.config import MeasureConfig
    from undertext.jobs.measure.job import measure
    from undertext.jobs.measure.result import MeasureResult
    from undertext.jobs.probe.config import ProbeConfig
    from undertext.jobs.probe.job import probe
    from undertext.jobs.probe.result import ProbeResult
    from undertext.jobs.routes.config import RoutesConfig
    from undertext.jobs.routes.job import routes
    from undertext.jobs.routes.result import RoutesResult
    from undertext.jobs.runs.config import RunsConfig
    from undertext.jobs.runs.job import join_runs
    from undertext.jobs.runs.result import JoinedRuns
    from undertext.jobs.sae_diff.config import DiffConfig
    from undertext.jobs.sae_diff.job import feature_diff
    from undertext.jobs.sae_diff.result import FeatureDiff
    from undertext.jobs.sae_features.config import FeaturesConfig
    from undertext.jobs.sae_features.job import feature_table
    from undertext.jobs.sae_features.result import FeatureTable
    from undertext.jobs.sae_train.config import TrainConfig
    from undertext.jobs.sae_train.job import train_dictionary
    from undertext.jobs.sae_train.result import TrainedDictionary
    from undertext.jobs.steer.config import SteerConfig
    from undertext.jobs.steer.job import steer
    from undertext.jobs.steer.result import SteerResult
    from undertext.jobs.trace.config import TraceConfig
    from undertext.jobs.trace.job import read_trace
    from undertext.jobs.trace.result import TraceResult
    from undertext.organisms.building import build_organism
    from undertext.tasks.builtin.chain import new_chain
    from undertext.tasks.importers import (
        Columns,
        ImportConfig,
        from_columns,
        from_dataset,
        from_gsm8k_rows,
        from_inspect,
        from_jsonl,
        from_lm_eval,
        from_math_rows,
        from_reasoning_gym,
    )
    from undertext.tasks.load import load_task
    from undertext.tasks.write import write_task

__version__ = "0.1.0"

__all__ = [
    "Checkpoint",
    "CheckpointComparisons",
    "Columns",
    "CompareConfig",
    "Comparison",
    "DiffConfig",
    "FeatureDiff",
    "FeatureTable",
    "FeaturesConfig",
    "ImportConfig",
    "JoinedRuns",
    "MeasureConfig",
    "MeasureResult",
    "ProbeConfig",
    "ProbeResult",
    "RoutesConfig",
    "RoutesResult",
    "RunsConfig",
    "SteerConfig",
    "SteerResult",
    "TraceConfig",
    "TraceResult",
    "TrainConfig",
    "TrainedDictionary",
    "UserError",
    "build_organism",
    "compare",
    "compare_checkpoints",
    "feature_diff",
    "feature_table",
    "from_columns",
    "from_dataset",
    "from_gsm8k_rows",
    "from_inspect",
    "from_jsonl",
    "from_lm_eval",
    "from_math_rows",
    "from_reasoning_gym",
    "join_runs",
    "load_pair",
    "load_task",
    "measure",
    "new_chain",
    "probe",
    "read_trace",
    "routes",
    "steer",
    "to_inspect",
    "train_dictionary",
    "write_task",
    "zoo",
]

# The same names as above, with the module of this package that each comes from.
_LAZY = {
    "Checkpoint": "activations.checkpoint",
    "CheckpointComparisons": "jobs.compare.checkpoints.result",
    "Columns": "tasks.importers",
    "CompareConfig": "jobs.compare.config",
    "Comparison": "jobs.compare.result",
    "DiffConfig": "jobs.sae_diff.config",
    "FeatureDiff": "jobs.sae_diff.result",
    "FeatureTable": "jobs.sae_features.result",
    "FeaturesConfig": "jobs.sae_features.config",
    "ImportConfig": "tasks.importers",
    "JoinedRuns": "jobs.runs.result",
    "MeasureConfig": "jobs.measure.config",
    "MeasureResult": "jobs.measure.result",
    "ProbeConfig": "jobs.probe.config",
    "ProbeResult": "jobs.probe.result",
    "RoutesConfig": "jobs.routes.config",
    "RoutesResult": "jobs.routes.result",
    "RunsConfig": "jobs.runs.config",
    "SteerConfig": "jobs.steer.config",
    "SteerResult": "jobs.steer.result",
    "TraceConfig": "jobs.trace.config",
    "TraceResult": "jobs.trace.result",
    "TrainConfig": "jobs.sae_train.config",
    "TrainedDictionary": "jobs.sae_train.result",
    "UserError": "activations.errors",
    "build_organism": "organisms.building",
    "compare": "jobs.compare.job",
    "compare_checkpoints": "jobs.compare.checkpoints.job",
    "feature_diff": "jobs.sae_diff.job",
    "feature_table": "jobs.sae_features.job",
    "from_columns": "tasks.importers",
    "from_dataset": "tasks.importers",
    "from_gsm8k_rows": "tasks.importers",
    "from_inspect": "tasks.importers",
    "from_jsonl": "tasks.importers",
    "from_lm_eval": "tasks.importers",
    "from_math_rows": "tasks.importers",
    "from_reasoning_gym": "tasks.importers",
    "join_runs": "jobs.runs.job",
    "load_pair": "activations.pair",
    "load_task": "tasks.load",
    "measure": "jobs.measure.job",
    "new_chain": "tasks.builtin.chain",
    "probe": "jobs.probe.job",
    "read_trace": "jobs.trace.job",
    "routes": "jobs.routes.job",
    "steer": "jobs.steer.job",
    "to_inspect": "jobs.compare.inspect_logs",
    "train_dictionary": "jobs.sae_train.job",
    "write_task": "tasks.write",
    "zoo": "core.shipped",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_LAZY))}"
        )
    value: object = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
