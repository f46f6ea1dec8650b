"""Finds the Chromium in which the report is tested; run as a script, installs one where that is possible."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "google-chrome", "chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Options with which it is started: it then asks the network for nothing of its own."""


def find_browser() -> str | None:
    """Path of the first Chromium on PATH, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _as_root() -> list[str] | None:
    """What to put before a command so that it runs as root without a question; None where that cannot be."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def install_browser() -> None:
    """Installs the distribution's `chromium`; does nothing where there is no apt-get or no right to it."""
    prefix = _as_root()
    if prefix is None or not shutil.which("apt-get"):
        return
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    # A failed update need not matter: the lists at hand may do.
    subprocess.run([*apt, "update"], stdin=subprocess.DEVNULL, check=False)
    subprocess.run(
        [*apt, "install", "--no-install-recommends", "chromium"], stdin=subprocess.DEVNULL, check=False
    )


def main() -> int:
    """Exit status 0 when there is a browser at the end."""
    if not find_browser():
        install_browser()
    if not find_browser():
        print(
            f"The report's tests need a Chromium on PATH (any of {', '.join(NAMES)}): install one.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
