"""A cluster that asks for a token: who has none is told which variable is wanted."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.ray_nodes import end

pytestmark = pytest.mark.slow

CONNECT = """
import sys
from undertext.activations.errors import UserError
from undertext.core.ray_cluster import connected
try:
    with connected(sys.argv[1]):
        print("connected")
except UserError as error:
    print(error)
"""
TOKEN, OTHER = "a" * 64, "b" * 64


def said(address: str, home: Path, **variables: str) -> str:
    """What a process prints that connects with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", CONNECT, address], env={**kept, "HOME": str(home), **variables},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ended.stdout


def test_a_missing_or_wrong_token_is_said(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address, ray = f"127.0.0.1:{port}", str(Path(sys.executable).with_name("ray"))
    needed = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    environment = {**os.environ, **needed}
    options = [f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=1", "--include-dashboard=false"]
    head = psutil.Popen(
        [ray, "start", "--head", "--block", *options], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        check = [ray, "health-check", "--address", address]
        while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
            assert head.poll() is None, "the head ended"
        for variables in ({}, {**needed, "RAY_AUTH_TOKEN": OTHER}):
            assert "set RAY_AUTH_MODE=token" in said(address, tmp_path, **variables)
        assert said(address, tmp_path, **needed) == "connected\n"
    finally:
        family = head.children(recursive=True) if head.is_running() else []
        end({head, *family})
