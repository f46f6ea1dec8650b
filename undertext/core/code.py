"""Which code makes a result: a digest of the package's own files, since a clone changes under one version."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from os import walk
from pathlib import Path

from undertext.core.shipped import SHIPPED, config_file

ENDINGS = (".py", ".j2", ".yaml", ".css", ".js")


@cache
def code_digest() -> str:
    """12 hexadecimal digits of the files of the package and of its configs, as they are when a process first
    asks."""
    package = Path(str(files("undertext"))).resolve()
    return digest_of_code(package, config_file("verdict.yaml").parent, SHIPPED.resolve())


def digest_of_code(package: Path, configs: Path, shipped: Path) -> str:
    """As `code_digest`, of a package, the folder of its configs and that of the organisms beside it.

    A clone, an editable install and a wheel of the same files have the same digest: names are relative to the
    package, whose links are followed, and those of configs to their folder. Organisms are no code.
    """
    found = {f"configs/{path.name}": path for path in configs.glob("*.yaml")}
    for folder, below, names in walk(package, followlinks=True):
        at = Path(folder)
        if at in (configs, shipped) or at.name == "__pycache__":
            below.clear()
            continue
        here = [at / name for name in names if Path(name).suffix in ENDINGS]
        found |= {path.relative_to(package).as_posix(): path for path in here}
    digest = sha256()
    for name, path in sorted(found.items()):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]
