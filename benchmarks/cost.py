"""cost.*: measured time over the time that the cost model predicts from another size.

Three random Llamas, float32, one thread. Utilisation is the FLOPs of the model by the seconds of one size,
over the machine's own peak (a product of two square matrices of 1024, the best of several): the rate of the
middle size predicts the times of all, read and written apart. Writing 32 rows at once is bound by FLOPs at
these sizes, as reading is. Rounds alternate between sizes.

Then what a comparison of 500 problems takes by the model on an H100 (`_cost_cuda.py` measures on a GPU).
"""

import json
import statistics
import sys
from collections.abc import Sequence
from time import perf_counter

import torch
from _common import ids, llama

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.activations.pair import Pair
from undertext.core.cost import H100, MODELS, ModelSize, cost_of, reading_flops, writing_flops
from undertext.core.plan import Work
from undertext.core.terms import OTHER, ROLES, Role
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.works import compare_draft
from undertext.measures.recovery.parts import SteeringParts
from undertext.tasks import Problem, Task

WIDTHS, FROM, ROUNDS = (256, 512, 768), 512, 5
TEXTS, LENGTH, ROWS, WRITTEN = 8, 128, 32, 12
PROMPT, OUTPUT, COUNTS = 150, 256, {"train": 300, "dev": 200, "test": 500}


def size_of(checkpoint: Checkpoint) -> ModelSize:
    """As its config says."""
    config = checkpoint.model.config
    return ModelSize(
        config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads,
        config.num_key_value_heads, config.hidden_size // config.num_attention_heads, config.vocab_size,
    )  # fmt: skip


def peak(side: int = 1024) -> float:
    """FLOPs a second of a matrix product."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    best = float("inf")
    for _ in range(12):
        start = perf_counter()
        a @ b
        best = min(best, perf_counter() - start)
    return 2 * side**3 / best


def timed(checkpoint: Checkpoint) -> tuple[float, float]:
    """Seconds of reading texts, and of writing after prompts (the prompts' reading taken off)."""
    points = [HookPoint(checkpoint.n_layers - 1, "resid_post")]
    start = perf_counter()
    capture(checkpoint, ids(TEXTS, LENGTH), points)
    read = perf_counter() - start
    spent = []
    for count in (1, 1 + WRITTEN):
        start = perf_counter()
        generate(checkpoint, ids(ROWS, 32), max_new_tokens=count, batch_size=ROWS)
        spent.append(perf_counter() - start)
    return read, spent[1] - spent[0]


def check() -> dict[str, float]:
    """Measured over predicted, by size."""
    models = {width: llama(width, layers=4) for width in WIDTHS}
    sizes = {width: size_of(model) for width, model in models.items()}
    flops = {
        width: (
            reading_flops(size, float(TEXTS * LENGTH), float(LENGTH)),
            writing_flops(size, float(ROWS * WRITTEN), 33.0, float(WRITTEN)),
        )
        for width, size in sizes.items()
    }
    for model in models.values():
        timed(model)
    rounds = [{width: timed(model) for width, model in models.items()} for _ in range(ROUNDS)]
    best = peak()
    print(f"peak of a product of matrices: {best / 1e9:.1f} GFLOP/s; {ROUNDS} rounds, {FROM} predicts")
    print("| width | N | | utilisation | measured over predicted | spread |\n|---|---|---|---|---|---|")
    found = {}
    for width in WIDTHS:
        for i, what in enumerate(("reading", "writing")):
            rate = [flops[FROM][i] / each[FROM][i] for each in rounds]
            ratios = [each[width][i] * rate[k] / flops[width][i] for k, each in enumerate(rounds)]
            used = flops[width][i] / statistics.median(each[width][i] for each in rounds) / best
            middle = statistics.median(ratios)
            print(
                f"| {width} | {sizes[width].met:,} | {what} | {used:.2f} | {middle:.2f} | "
                f"{min(ratios):.2f} to {max(ratios):.2f} |"
            )
            if width != FROM:
                found[f"cost.{what}_{width}"] = round(middle, 3)
    return found


def works() -> list[Work]:
    """The works of a comparison, by its own plan, of problems with prompts and outputs of stated lengths."""
    small = llama(64, layers=8, context=1024)
    words = [" ".join(map(str, row)) for row in ids(sum(COUNTS.values()), PROMPT)]
    names = [f"{split}{k}" for split, count in COUNTS.items() for k in range(count)]
    problems = [
        Problem(id=name, split=name.rstrip("0123456789"), prompt=text, answer="1", trace=f" {text}")
        for name, text in zip(names, words, strict=True)
    ]
    task = Task(
        name="cost", description="Of stated lengths.", problems=problems, max_new_tokens=OUTPUT,
        grader={"kind": "number"},
    )  # fmt: skip
    config, pair = CompareConfig(fresh="test"), Pair(small, llama(64, layers=8, context=1024))

    def steering(role: Role, config: CompareConfig, layers: Sequence[int]) -> SteeringParts:
        weaker, stronger = getattr(pair, role), getattr(pair, OTHER[role])
        return SteeringParts(weaker, stronger, task, config, layers, name=role)

    tasks = dict.fromkeys(ROLES, task)
    draft = compare_draft(pair, tasks, steering, config, shared_tokens=True, room=0)
    return list(draft.works(config))


def table() -> None:
    """GPU-hours of that comparison."""
    listed = works()
    read, written = sum(work.read for work in listed), sum(work.written for work in listed)
    rows = sum(work.rows for work in listed)
    print(f"\na comparison of {COUNTS['test']} problems, prompts of {PROMPT} tokens, outputs of {OUTPUT}:")
    print(f"{rows:,} rows, {read:,} tokens read, {written:,} written, at most")
    slow = H100._replace(
        utilisation=H100.utilisation / 2, fetching=H100.fetching / 2, launch=H100.launch * 1.5
    )
    for begins, card in (("from: outputs a quarter as long", H100), ("to: outputs as long as may be", slow)):
        print(
            f"{begins}, {card.utilisation:.0%} of peak FLOPs, {card.fetching:.0%} of bandwidth, "
            f"{1000 * card.launch:g} ms a layer at least"
        )
    print("| model | parameters | memory | cards | GPU-hours |\n|---|---|---|---|---|")
    for name, model in MODELS.items():
        least = cost_of(listed, model, H100, rows=256, written=0.25, steered=1.2)
        most = cost_of(listed, model, slow, rows=256, steered=1.2)
        print(
            f"| {name} | {model.parameters / 1e9:.2f}e9 | {most.memory / 1e9:,.0f} GB | {most.devices} | "
            f"{least.device_hours:.2g} to {most.device_hours:.2g} |"
        )


def main() -> int:
    torch.set_num_threads(1)
    found = check()
    table()
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
