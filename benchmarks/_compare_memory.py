"""compare.memory: the most memory that a comparison takes, over the bytes of both checkpoints.

Not run by `make bench`: it writes 2 GB, and takes minutes. A random pair in the shape of Qwen2-0.5B, in
bfloat16, in a temporary folder that is removed. The task is made so that there is a gap: its answers are what
the tuned checkpoint writes. Few problems of few tokens and a small search, so that every line is measured.
Memory is `VmHWM` (see `_big_pair.py`) of a process of its own, all of it: the interpreter, the libraries, the
pages of mapped weight files, the control at random init. Measured as a comparison comes, and with
`one_at_a_time`, which holds the weights of one checkpoint at a time. `--smoke` takes a pair of 2 layers.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import torch
from _big_pair import GIB, WORDS, make, memory
from transformers import Qwen2Config

from undertext import Checkpoint, CompareConfig, compare
from undertext.activations.generation import generate
from undertext.core.progress import Progress
from undertext.tasks import Grader, Problem, Step, Task
from undertext.tasks.load import load_task
from undertext.tasks.write import write_task

SMOKE = "--smoke" in sys.argv[1:]
SIZE = (
    {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "vocab_size": 512}
    if SMOKE
    else {"hidden_size": 896, "num_hidden_layers": 24, "intermediate_size": 4864, "vocab_size": 151936}
)
SHAPE = Qwen2Config(
    **SIZE, num_attention_heads=2 if SMOKE else 14, num_key_value_heads=2, max_position_embeddings=4096,
    tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=0, dtype="bfloat16",
)  # fmt: skip
COUNTS = {"train": 48, "dev": 8, "test": 8}
WRITTEN = 3
FIRST = r"^\s*([a-z]{2})"
BAR = 1.5


def make_task(tuned: Path) -> Task:
    """Problems of eight words, a step that says a value, and for an answer what the tuned checkpoint writes:
    its first letters, which no output needs to end to show."""
    draw = random.Random(0)
    asked = {
        f"{split}-{n}": (split, " ".join(draw.choices(WORDS, k=8)), draw.choice(WORDS[:3]))
        for split, count in COUNTS.items()
        for n in range(count)
    }
    checkpoint = Checkpoint.load(tuned, dtype=torch.bfloat16)
    answers = generate(checkpoint, [prompt for _, prompt, _ in asked.values()], max_new_tokens=WRITTEN).texts
    return Task(
        name="what it writes",
        description="What a random checkpoint writes after eight words.",
        grader=Grader(kind="regex", pattern=FIRST),
        max_new_tokens=WRITTEN,
        problems=[
            Problem(
                id=name, split=split, prompt=prompt, answer=re.match(FIRST, answer)[1], trace=f"no {said}",
                steps=[Step(text=f"no {said}", values={"word": said})],
            )
            for (name, (split, prompt, said)), answer in zip(asked.items(), answers, strict=True)
        ],
    )  # fmt: skip


class Peaks(Progress):
    """The most that was resident once a stage has ended, for the stages that raised it."""

    def __init__(self) -> None:
        super().__init__(False)
        self.raised: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        before = memory("VmHWM")
        with super().stage(name, total) as done:
            yield done
        if memory("VmHWM") > before:
            self.raised[name] = round(memory("VmHWM") / GIB, 2)


def measure(folder: Path, *, one_at_a_time: bool) -> None:
    """Compare the pair in `folder` and print, last, what it took as JSON."""
    config = CompareConfig(
        splits=("test",), dtype="bfloat16", threads=torch.get_num_threads(), one_at_a_time=one_at_a_time,
        max_layers=2, doses=(1.0,), samples=2, search_problems=4, vector_problems=8, random_directions=1,
        trace_problems=4,
    )  # fmt: skip
    before, start, peaks = memory("VmHWM"), perf_counter(), Peaks()
    task = load_task(folder / "task")
    result = compare(folder / "base", folder / "tuned", task, config=config, progress=peaks)
    found = result.splits["test"]
    seconds = {name: round(spent, 1) for name, spent in result.run["timings_s"].items()}
    print(json.dumps({"seconds": seconds, "GiB": peaks.raised}))
    print(
        json.dumps(
            {
                "seconds": perf_counter() - start,
                "before": before,
                "peak": memory("VmHWM"),
                "accuracy": [found.accuracy["base"].value, found.accuracy["tuned"].value],
                "lines": [line.name for line in found.evidence],
            }
        )
    )


def main() -> int:
    """Exit status 1 when the bar does not hold of a comparison as it comes."""
    parser = argparse.ArgumentParser(description="Memory of comparing a Qwen2-0.5B-shaped pair.")
    parser.add_argument("--smoke", action="store_true", help="a pair of two layers")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one-at-a-time", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.measure:
        measure(args.measure, one_at_a_time=args.one_at_a_time)
        return 0
    ratios = {}
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1], prefix=".big-pair-") as made:
        folder = Path(made)
        both = sum(
            make(folder / name, seed, SHAPE, words_alone=True) for seed, name in enumerate(("base", "tuned"))
        )
        write_task(make_task(folder / "tuned"), folder / "task")
        command = [sys.executable, __file__, "--measure", made, "--threads", str(args.threads)]
        command += ["--smoke"] if SMOKE else []
        for how, more in (("as it comes", []), ("one at a time", ["--one-at-a-time"])):
            # A process of its own: what making the pair took must not count.
            done = subprocess.run([*command, *more], stdout=subprocess.PIPE, text=True, check=True)
            timings, last = done.stdout.splitlines()[-2:]
            found = json.loads(last)
            ratios[how] = found["peak"] / both
            print(f"{how}: peak {found['peak'] / GIB:.2f} GiB, {ratios[how]:.3f} of both checkpoints")
            print(f"  both {both / GIB:.2f} GiB; resident before loading {found['before'] / GIB:.2f} GiB")
            print(f"  {found['seconds']:.0f} s; accuracy {found['accuracy']}; {', '.join(found['lines'])}")
            print(f"  seconds by stage, and where the peak rose, to how much: {timings}", flush=True)
    print(json.dumps({"compare.memory": round(ratios["as it comes"], 4)}))
    return int(ratios["as it comes"] > BAR and not SMOKE)


if __name__ == "__main__":
    sys.exit(main())
