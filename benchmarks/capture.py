"""capture.*: what capturing costs beside running the model, and beside a TransformerBridge.

A random Llama of width 512 with 8 layers, float32, one thread; peer and ours alternate in one process. What a
bridge adds to a pass hardly grows with the model, so its share does shrink: it is measured on a smaller
Llama (width 128, 4 layers, 4 x 32 tokens), and on the large one too (in brackets, no id).

Memory: resident memory at its peak above what it was before the pass, in processes of their own whose
allocator gives every freed tensor back to the system at once.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import torch
from _common import HEAD, ids, llama, ratio

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint


def stream(checkpoint: Checkpoint) -> list[HookPoint]:
    return [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]


def bridges(checkpoint: Checkpoint, batch: list[list[int]], before: str, after: str) -> list[float]:
    """A bridge that caches everything, and the points asked for alone, over ours."""
    bridge, points, tokens = checkpoint.bridge(), stream(checkpoint), torch.tensor(batch)
    names = {str(point) for point in points}
    return [
        ratio(
            f"{before}{name}{after}",
            lambda options=options: bridge.run_with_cache(tokens, **options),
            lambda: capture(checkpoint, batch, points),
            rounds=15,
        )
        for name, options in (
            ("capture.bridge_all", {}),
            ("capture.bridge_filtered", {"names_filter": lambda name: name in names}),
        )
    ]


def peak_bytes(what: str) -> int:
    """How far a pass in a process of its own raises resident memory above what it was before."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, str(Path(__file__)), "--peak", what]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@torch.inference_mode()
def measure_peak(what: str) -> int:
    """In such a process: the peak of one pass."""
    checkpoint = llama()
    batch, points = ids(16, 256), stream(checkpoint)
    tokens = torch.tensor(batch)

    def bare() -> object:
        return checkpoint.model(tokens, use_cache=False)

    def ours() -> object:
        return capture(checkpoint, batch, points, "all")

    job = {"bare": bare, "ours": ours}[what]
    job()  # libraries take what they keep
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident now
    start = resident("VmHWM")
    kept = job()
    peak = resident("VmHWM")
    del kept
    return peak - start


def resident(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    checkpoint = llama()
    bare = checkpoint.model
    points = stream(checkpoint)
    batch, one = ids(16, 64), ids(1, 16)
    tokens, single = torch.tensor(batch), torch.tensor(one)
    half = checkpoint.n_layers // 2
    early = [HookPoint(half - 1, "resid_post")]
    lengths = [max(4, min(400, int(random.Random(i).lognormvariate(4, 0.8)))) for i in range(128)]
    mixed = [ids(1, length)[0] for length in lengths]

    def arrival() -> None:
        for at in range(0, len(mixed), 16):
            rows = mixed[at : at + 16]
            width = max(map(len, rows))
            padded = torch.tensor([row + [0] * (width - len(row)) for row in rows])
            bare(input_ids=padded, use_cache=False)

    print(HEAD)
    found = {
        "capture.bare_512": ratio(
            "capture.bare_512",
            lambda: capture(checkpoint, batch, points),
            lambda: bare(tokens, use_cache=False),
        ),
        "capture.bare_16": ratio(
            "capture.bare_16",
            lambda: capture(checkpoint, one, points),
            lambda: bare(single, use_cache=False),
            rounds=31,
        ),
        "capture.early_stop": round(
            ratio(
                "time to the middle layer",
                lambda: capture(checkpoint, batch, early),
                lambda: bare(tokens, use_cache=False),
            )
            / ((half + 1) / checkpoint.n_layers),
            4,
        ),
        "capture.mixed_lengths": ratio(
            "capture.mixed_lengths", arrival, lambda: capture(checkpoint, mixed, points), rounds=5
        ),
    }
    small = llama(width=128, layers=4)
    found["capture.bridge_all"], found["capture.bridge_filtered"] = bridges(small, ids(4, 32), "", "")
    bridges(checkpoint, batch, "(", ", width 512)")
    kept = len(points) * 16 * 256 * checkpoint.d_model * 4
    plain, ours = peak_bytes("bare"), peak_bytes("ours")
    found["capture.memory"] = round(ours / (plain + kept), 4)
    print(
        f"| capture.memory | {found['capture.memory']:.3f} | | {ours / 2**20:.0f} MiB over "
        f"{plain / 2**20:.0f} + {kept / 2**20:.0f} MiB |"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        torch.set_num_threads(1)
        print(measure_peak(sys.argv[2]))
    else:
        main()
