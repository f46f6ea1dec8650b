"""What the packages import is declared: `make demo` installs the main dependencies and no more."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires

import pytest

from tests.imports import GROUND_AND_WINGS, ROOT, imported_names, module_files

EXTRAS = {
    "gguf": ("undertext.steering.",),
    "math": ("undertext.tasks.math_values",),
    "ray": ("undertext.core.ray_", "undertext.core.part_bytes"),
    "reasoning-gym": ("undertext.tasks.reasoning_gym",),
    "saes": ("undertext.saes.",),
}
"""By extra, the beginnings of the modules that may import what it holds."""
IN_A_NOTEBOOK = {"IPython": "undertext.core.notebook_bar"}
"""What is imported by this module alone, and only within a notebook, which brings it."""
WITHOUT = """
import sys
sys.modules |= dict.fromkeys(["gguf", "math_verify", "ray", "reasoning_gym", "sae_lens"])  # none there
import undertext.jobs.compare.job, undertext.jobs.compare.report, undertext.jobs.demo.command
print(*sys.modules)
"""


def canonical(requirement: str) -> str:
    """`sae-lens` for "sae_lens>=6.54"."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def project() -> dict[str, set[str]]:
    """Names of what is required: under "main", and under each extra."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {"main": told["dependencies"], **told["optional-dependencies"]}
    return {name: {canonical(one) for one in requirements} for name, requirements in required.items()}


def test_every_import_of_the_packages_is_declared():
    required, providers = project(), packages_distributions()
    undeclared: dict[str, list[str]] = {}
    for module, file in module_files().items():
        if not module.startswith("undertext"):
            continue
        declared = set(required["main"])
        for extra, beginnings in EXTRAS.items():
            if module.startswith(beginnings):
                declared |= required[extra]
        tops = {name.partition(".")[0] for name in imported_names(file)}
        for name in tops - set(sys.stdlib_module_names) - {"undertext", *GROUND_AND_WINGS}:
            if IN_A_NOTEBOOK.get(name) == module:
                continue
            if declared.isdisjoint(canonical(distribution) for distribution in providers.get(name, [name])):
                undeclared.setdefault(name, []).append(str(file.relative_to(ROOT)))
    assert undeclared == {}


@pytest.mark.slow
def test_the_demo_does_without_the_extras_and_the_report_without_pyplot():
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "matplotlib.figure" in loaded
    assert "matplotlib.pyplot" not in loaded


def test_what_only_one_command_uses_would_be_installed_in_any_case():
    """As docs/start.md says: were it not so, it should be an extra."""
    by_lens = {canonical(one) for one in requires("transformer-lens") or () if "extra ==" not in one}
    assert {"accelerate", "datasets", "pandas", "wandb"} <= by_lens
