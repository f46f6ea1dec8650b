"""The digest of the package's code: the same for the same files wherever they lie, and another for others."""

import re
import shutil
from pathlib import Path

import pytest

import undertext.core.job
from tests.core.small_job import job
from undertext.activations.errors import UserError
from undertext.core.code import code_digest, digest_of_code
from undertext.core.setup import versions
from undertext.core.shipped import SHIPPED, config_file

PACKAGE, CONFIGS = Path(undertext.__file__).resolve().parent, config_file("verdict.yaml").parent


def wheel(folder: Path) -> tuple[Path, Path, Path]:
    """The package as a wheel lays it out: every file once, its configs and organisms inside."""
    left_out = shutil.ignore_patterns("*.safetensors", "__pycache__")
    package = Path(shutil.copytree(PACKAGE, folder / "undertext", ignore=left_out))
    shutil.copytree(CONFIGS, package / "_configs")
    return package, package / "_configs", package / "organisms" / "zoo"


def test_a_clone_and_a_wheel_of_the_same_files_have_one_digest(tmp_path):
    assert digest_of_code(*wheel(tmp_path)) == digest_of_code(PACKAGE, CONFIGS, SHIPPED) == code_digest()


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("jobs/compare/verdict.py", True),
        ("activations/capture.py", True),
        ("_configs/verdict.yaml", True),
        ("jobs/compare/new.py", True),
        ("activations/__pycache__/capture.cpython-311.pyc", False),
        ("organisms/zoo/base/organism.json", False),
        ("organisms/zoo/base/new.py", False),
    ],
)
def test_it_is_another_where_code_or_a_threshold_is_another(tmp_path, file, counts):
    package, configs, shipped = wheel(tmp_path)
    path = package / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    assert (digest_of_code(package, configs, shipped) != code_digest()) == counts


def test_a_file_that_moves_counts(tmp_path):
    package, configs, shipped = wheel(tmp_path)
    (package / "jobs/compare/verdict.py").rename(package / "jobs/compare/rule.py")
    assert digest_of_code(package, configs, shipped) != code_digest()


def test_parts_of_other_code_are_refused(tmp_path, monkeypatch):
    of_now = versions()["undertext"]
    assert of_now.endswith(f"+code.{code_digest()}")
    with monkeypatch.context() as other:
        other.setattr(undertext.core.job, "versions", lambda: {"undertext": "0.1.0+code.another"})
        with pytest.raises(RuntimeError, match="two"):
            job(tmp_path, fails=["two"])
    with pytest.raises(UserError, match=rf"undertext was '0\.1\.0\+code\.another', is '{re.escape(of_now)}'"):
        job(tmp_path)
