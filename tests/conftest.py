"""What holds for every test: one thread, no network, the same examples at every run."""

import gc
import os

# Before the imports: these are read once, when the libraries load.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the commands that tests start

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch

from tests import checker
from tests.browser import NAMES, find_browser

torch.set_num_threads(1)
checker.install()  # types and shapes of every annotated signature in the packages are checked while tests run

# derandomize: a change is judged on the same examples as the one before it. No deadline: machines are shared.
hypothesis.settings.register_profile("undertext", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("undertext")


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later search for garbage: each took a third of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium, for playwright's `executable_path`."""
    path = find_browser()
    assert path, f"no browser on PATH (any of {', '.join(NAMES)}): run `make browser`"
    return path


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of a run of the tests: what is made there under a lock is made once."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file under a folder, hidden ones too, by relative path."""
    return lambda folder: {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
