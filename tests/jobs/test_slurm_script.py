"""The Slurm script of docs/cluster.md, run as it stands, with stand-ins for Slurm's own two commands: two
nodes on this machine, and a comparison's parts on them."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import yaml

from tests.made_up_task import task_of
from tests.ray_nodes import end
from tests.toys import tiny_folder
from undertext.tasks.write import write_task

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
SETTINGS = {
    "engine": "ray", "doses": [1.0], "positions": ["last_prompt"], "random_directions": 1,
    "search_problems": 4, "vector_problems": 8, "max_layers": 1, "batch_size": 16, "samples": 2,
}  # fmt: skip
SRUN = """#!/bin/bash
# Run what is given, here, whatever node is asked for. What was asked, and the process, are written down.
echo "$@" >> {log}
while [[ "$1" == -* ]]; do
    case "$1" in -w) shift 2 ;; *) shift ;; esac
done
echo $$ >> {started}
exec "$@"
"""
SCONTROL = """#!/bin/bash
[ "$*" = "show hostnames node[1-2]" ] && printf 'node1\\nnode2\\n'
"""


def script() -> str:
    """The page's only script with Slurm's options."""
    (found,) = [
        block for block in re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.S) if "#SBATCH" in block
    ]
    return found


def changed(text: str, changes: dict[str, str]) -> str:
    """The script with what a machine of this size has in place of what it asks for."""
    for old, new in changes.items():
        assert old in text, f"{old} is not in the script any more"
        text = text.replace(old, new)
    return text


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def killed_afterwards(started: Path) -> Iterator[None]:
    """As Slurm does when a script has ended: every process that srun started is ended, and all of theirs."""
    try:
        yield
    finally:
        family: set[psutil.Process] = set()
        for each in started.read_text().split() if started.exists() else []:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(each))
                family |= {process, *process.children(recursive=True)}
        end(family)


def test_it_starts_a_node_a_machine_and_runs_the_grid_on_them(tmp_path: Path) -> None:
    tools, work = tmp_path / "tools", tmp_path / "work"
    tools.mkdir()
    work.mkdir()
    log, started = tmp_path / "srun.log", tmp_path / "started"
    made = {
        "srun": SRUN.format(log=log, started=started),
        "scontrol": SCONTROL,
        "hostname": "#!/bin/bash\necho 127.0.0.1\n",
    }
    for name, text in made.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "activate").write_text(f"export PATH={Path(sys.executable).parent}:$PATH\n")
    names = {name: str(tiny_folder(work / name, seed=seed)) for seed, name in enumerate(("base", "tuned"))}
    write_task(task_of(n=8), work / "task")
    grid = {
        **SETTINGS,
        "base": names["base"],
        "tuned": names["tuned"],
        "task": "task",
        "grid": {"seed": [0, 1]},
    }
    (work / "grid.yaml").write_text(yaml.safe_dump(grid))

    text = changed(
        script(),
        {
            "/shared/undertext/.venv/bin/activate": str(tmp_path / "activate"),
            "/shared/work": str(work),
            "6379": str(free_port()),
            "--num-cpus=64 --num-gpus=8": "--num-cpus=1 --num-gpus=0",
            "--device cuda --dtype bfloat16 --threads 8": "--device cpu --threads 1",
        },
    )
    allocation = {"SLURM_CPUS_PER_TASK": "1", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2"}
    path = f"{tools}:{os.environ['PATH']}"
    with killed_afterwards(started):
        said = tmp_path / "said"
        with said.open("w") as to:
            ended = subprocess.run(
                ["bash", "-c", text],
                env={**os.environ, **allocation, "PATH": path},
                stdout=to,
                stderr=to,
                check=False,
            )
        assert ended.returncode == 0, said.read_text()[-3000:]
        assert said.read_text().count("Ray runtime started") == 2, said.read_text()[-3000:]
    asked = log.read_text().splitlines()
    assert sum("ray start --head" in each for each in asked) == 1
    assert sum("ray start --address=127.0.0.1" in each and "--exclude=node1" in each for each in asked) == 1
    verdicts = sorted(work.glob("runs/*/verdict.json"))
    assert [json.loads(each.read_text())["splits"].keys() >= {"test"} for each in verdicts] == [True, True]
