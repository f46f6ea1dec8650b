"""Keeping transformers' warnings and progress bars off stderr while something loads."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' logs and progress bars and all Python warnings; the settings come back after.

    What went wrong is told by an exception: the logs beside it are noise on the user's terminal.
    """
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    try:
        transformers_logging.set_verbosity(logging.CRITICAL)
        transformers_logging.disable_progress_bar()  # the hub's bars too
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
