"""What `import undertext` does in a fresh interpreter, as installed and beside other people's code."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import undertext

ROOT = Path(__file__).parents[1]
BUILD = "from hatchling import build; print(build.build_{kind}({folder!r}))"
FOLDERS = ("activations", "probes", "saes", "steering")
"""Folders of the code at the root, which are imported below `undertext`."""
KINDS = ("wheel", "editable")


def run(*args: str, folder: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Python in `folder`, with `path` before the environment's own packages."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    return subprocess.run([sys.executable, *args], cwd=folder, env=env, capture_output=True, text=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By kind, the archive that pip would install; each is built once."""
    folder = tmp_path_factory.mktemp("built")
    archives = {}
    for kind in KINDS:
        done = run("-c", BUILD.format(kind=kind, folder=str(folder / kind)), folder=ROOT)
        assert done.returncode == 0, done.stderr
        archives[kind] = folder / kind / done.stdout.split()[-1]
    return archives


@pytest.fixture
def site(built: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A site folder into which the archive of the test's kind is installed."""
    folder = tmp_path / "site"
    with zipfile.ZipFile(built[request.param]) as archive:
        archive.extractall(folder)
    # A folder on PYTHONPATH has no .pth files; this makes it one that has.
    (folder / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(folder)!r})")
    # Where the environment has an editable install of its own, this one still comes first.
    for pth in folder.glob("*.pth"):
        pth.write_text(
            "".join(f"import sys; sys.path.insert(1, {line!r})\n" for line in pth.read_text().split())
        )
    return folder


def write_user_code(folder: Path) -> None:
    """Somebody's own packages and modules, named as our folders are."""
    for name in FOLDERS:
        file = folder / (f"{name}.py" if name == "saes" else f"{name}/__init__.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"OWNER = 'the user, {folder.name}'\n")


SCRIPT = f"""
import undertext
from importlib.util import find_spec
from {{module}} import {{name}}
from undertext.core.shipped import config_file
import {", ".join(FOLDERS)}
print(undertext.__file__)
print({{name}}.__module__, config_file("verdict.yaml").is_file(), undertext.zoo("base").is_dir())
print(*(module.OWNER for module in ({", ".join(FOLDERS)})), sep=";")
print(*(find_spec("undertext." + name).origin for name in {FOLDERS}), sep=";")
"""
LOADED = {"wheel": ("undertext.probes", "LogisticProbe"), "editable": ("undertext.activations", "UserError")}
"""By kind, a name that is loaded: a wing with all that it needs once, as the files are the same."""


@pytest.mark.parametrize("site", KINDS, indirect=True)
@pytest.mark.parametrize("beside", ["script", pytest.param("site", marks=pytest.mark.slow)])
def test_a_users_own_packages_of_the_same_names_break_nothing(site, beside, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    home = site if (site / "undertext").is_dir() else ROOT / ".editable"
    module, name = LOADED["editable" if home == ROOT / ".editable" else "wheel"]
    (project / "script.py").write_text(SCRIPT.format(module=module, name=name))
    where = project if beside == "script" else site
    write_user_code(where)
    done = run("script.py", folder=project, path=site)
    assert done.returncode == 0, done.stderr
    file, shipped, owners, origins = done.stdout.splitlines()
    assert Path(file) == home / "undertext" / "__init__.py"
    assert shipped.startswith(f"{module}.")
    assert shipped.endswith(" True True")
    assert owners.split(";") == [f"the user, {where.name}"] * len(FOLDERS)
    assert origins.split(";") == [str(home / "undertext" / name / "__init__.py") for name in FOLDERS]


@pytest.mark.parametrize("site", KINDS, indirect=True)
def test_nothing_else_becomes_importable(site, tmp_path):
    others = [path.stem for path in ROOT.iterdir() if path.is_dir() or path.suffix == ".py"]
    # The environment's own packages are left out, among them the install that the tests run from.
    ours = (str(site), str(ROOT / ".editable"))
    code = f"""
import sys
from importlib.util import find_spec
sys.path = [entry for entry in sys.path if entry in {ours}]
print(*(name for name in {others} if name.isidentifier() and find_spec(name)))
"""
    done = run("-c", code, folder=tmp_path, path=site)
    assert done.stdout.split() == ["undertext"], done.stderr


@pytest.mark.parametrize("site", KINDS, indirect=True)
def test_a_clone_seen_from_the_folder_above_is_not_taken_for_the_package(site, tmp_path):
    (tmp_path / "above" / "undertext" / "probes").mkdir(parents=True)
    done = run("-c", "import undertext; print(undertext.__version__)", folder=tmp_path / "above", path=site)
    assert done.stdout.strip() == undertext.__version__, done.stderr


def test_the_wheel_holds_every_file_of_the_packages_once(built):
    git = [
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "undertext",
        "configs",
        *FOLDERS,
    ]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [name for name in listed if name and not (ROOT / name).is_symlink() and (ROOT / name).is_file()]
    rooms = {"configs": "undertext/_configs"} | {name: f"undertext/{name}" for name in FOLDERS}
    first = [name.partition("/")[0] for name in files]
    expected = [rooms.get(top, top) + name.removeprefix(top) for top, name in zip(first, files, strict=True)]
    with zipfile.ZipFile(built["wheel"]) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(expected)


def test_an_sdist_gives_the_same_wheel(built, tmp_path):
    done = run("-c", BUILD.format(kind="sdist", folder=str(tmp_path)), folder=ROOT)
    assert done.returncode == 0, done.stderr
    subprocess.run(["tar", "xzf", done.stdout.split()[-1]], cwd=tmp_path, check=True)
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    done = run("-c", BUILD.format(kind="wheel", folder=str(tmp_path)), folder=source)
    assert done.returncode == 0, done.stderr
    wheels = (tmp_path / done.stdout.split()[-1], built["wheel"])
    ours, direct = (sorted(zipfile.ZipFile(wheel).namelist()) for wheel in wheels)
    assert ours == direct


def test_heavy_libraries_wait_until_used():
    loaded = run("-c", "import sys, undertext; print(*sys.modules)", folder=ROOT).stdout.split()
    assert "undertext" in loaded
    heavy = {"torch", "transformers", "transformer_lens", "sae_lens", "numpy", "matplotlib", "pydantic"}
    assert heavy.isdisjoint(loaded)


def test_settings_of_jobs_are_read_without_torch():
    """What `undertext compare --help`, or a mistake in a config, waits for."""
    jobs = ("compare", "steer", "routes", "probe", "measure", "trace")
    imports = ", ".join(f"undertext.jobs.{job}.command" for job in jobs)
    loaded = run("-c", f"import sys, {imports}; print(*sys.modules)", folder=ROOT).stdout.split()
    assert "undertext.jobs.compare.config" in loaded
    assert {"torch", "transformers", "transformer_lens", "matplotlib"}.isdisjoint(loaded)


@pytest.mark.parametrize("name", undertext.__all__)
def test_every_public_name_loads(name):
    assert getattr(undertext, name).__name__ == name


def test_a_misspelt_name_lists_the_valid_ones():
    with pytest.raises(AttributeError, match=r"'comparre'; it has .*compare"):
        undertext.comparre  # noqa: B018 (the access is what is tested)
