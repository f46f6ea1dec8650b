"""`undertext sae train|features|diff`."""

from collections.abc import Sequence
from importlib import import_module

from undertext.activations.errors import UserError
from undertext.core.command import say

JOBS = ("train", "features", "diff")
USAGE = f"undertext sae {'|'.join(JOBS)} [--config FILE] [OPTIONS]   (--help after one says more)"


def run(args: Sequence[str]) -> int:
    """Run the job that the first argument names."""
    if args and args[0] in JOBS:
        # By name: the jobs do not know each other, and none is loaded for another.
        return int(import_module(f"undertext.jobs.sae_{args[0]}.command").run(args[1:]))
    if set(args) & {"-h", "--help"}:
        say(f"usage: {USAGE}")
        return 0
    raise UserError(f"expected {USAGE}")
