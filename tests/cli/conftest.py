import json
from pathlib import Path

import pytest
import transformers

from undertext.__main__ import main
from undertext.organisms.shapes import chain_tokenizer, empty_model
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.write import write_task


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> Path:
    """Two real folders, `a` and `b`, of the same shape and different random weights."""
    transformers.utils.logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("untrained")
    for seed, name in enumerate("ab"):
        empty_model("llama", seed).save_pretrained(root / name)
        chain_tokenizer().save_pretrained(root / name)
    return root


@pytest.fixture(scope="session")
def small_task(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tasks") / "chain"
    write_task(new_chain(3, train=60, dev=20, test=40, ood=20), folder)
    return folder


@pytest.fixture
def cli(capsys):
    """Run the command line in this process: (exit code, stdout, stderr)."""

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def edited_config(folder: Path, **changes: object) -> None:
    """Rewrite keys of a checkpoint's config.json."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
