"""How much memory this process has taken at the most."""

import sys
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FORGET = "5"
"""What Linux is told for it to forget the peak so far (proc(5))."""


def peak(device: torch.device) -> int | None:
    """Most bytes that were in use since `forget_peak`, on an accelerator or in this process; None where the
    system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        return next(
            1024 * int(line.split()[1])
            for line in _STATUS.read_text().splitlines()
            if line.startswith("VmHWM:")
        )
    except (OSError, StopIteration):
        return _since_start()


def forget_peak() -> None:
    """Count from now on, where the system can: elsewhere the peak is that since the process was started."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    try:
        _CLEAR.write_text(_FORGET)
    except OSError:
        return


def _since_start() -> int | None:
    if sys.platform == "win32":
        return None
    import resource  # there is none on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
