"""How often a capability that cannot be there is called latent: `python -m benchmarks._false_latent`.

Not run by `make bench`: 200 seeds take some minutes. One tiny model learns sums; the weaker checkpoint of
each seed was shown nothing (even seeds), or the same problems with their answers dealt out anew (odd ones),
so that it knows their form and frequencies and no sums. The whole of `compare` runs on the pair. Writes
docs/false_positives.md.
"""

import argparse
import random
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from tests.sums import blank, learnt, plain_problems, tokenizer_for, write_by_hand
from undertext import compare
from undertext.activations import Checkpoint
from undertext.core.publish import publish
from undertext.core.statistics import exact_share
from undertext.jobs.compare.config import CompareConfig

PAGE = Path(__file__).parent.parent / "docs" / "false_positives.md"
LINES = ("recovered", "behaviour", "decodable", "transported")


def dealt_out(seed: int) -> list[dict[str, Any]]:
    """The problems with their answers dealt out among them."""
    problems = plain_problems()
    answers = [problem["answer"] for problem in problems]
    random.Random(seed).shuffle(answers)
    return [{**problem, "answer": answer} for problem, answer in zip(problems, answers, strict=True)]


def run(seeds: int, seconds: float) -> dict[str, tuple[int, int]]:
    """How many seeds called it latent, and of how many; by line, and `verdict` for the verdict."""
    tokenizer = tokenizer_for(plain_problems())
    able = Checkpoint.load(learnt(plain_problems(), tokenizer), tokenizer=tokenizer)
    counts = {name: [0, 0] for name in ("verdict", *LINES)}
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        task = write_by_hand(Path(folder) / "task", plain_problems(), 4)
        for seed in range(seeds):
            if perf_counter() - start > seconds:
                break
            model = blank(tokenizer, seed) if seed % 2 == 0 else learnt(dealt_out(seed), tokenizer, seed=seed)
            config = CompareConfig(
                seed=seed, samples=4, search_problems=20, vector_problems=32, random_directions=2, threads=1
            )
            weaker = Checkpoint.load(model, tokenizer=tokenizer)
            result = compare(weaker, able, task, config=config, progress=False).splits["test"]
            counts["verdict"][0] += result.verdict in ("elicited", "suppressed")
            counts["verdict"][1] += 1
            for line in result.evidence:
                counts[line.name][0] += line.says == "latent"
                counts[line.name][1] += 1
    return {name: (count, of) for name, (count, of) in counts.items()}


def page(counts: dict[str, tuple[int, int]]) -> str:
    """The table as a page of the documentation."""
    rows = []
    for name, (count, of) in counts.items():
        if of:
            found = exact_share(count, of)
            rows.append(
                f"| {name} | {count} | {of} | {found.value:.3f} | {found.low:.3f} to {found.high:.3f} |"
            )
    return "\n".join(
        [
            "# How often what is not there is called latent",
            "",
            "Made by `python -m benchmarks._false_latent`, which says what the pairs are: a tiny model that",
            "was shown sums, and for each seed a weaker one that was shown nothing, or wrong answers of the",
            "same form. The whole of `compare` runs on each pair. `decodable` and `transported` alone never",
            "make a verdict. The interval is Clopper and Pearson's, 95%.",
            "",
            "| says latent | seeds | of | share | interval |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Run, print the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    text = page(run(given.seeds, given.seconds))
    print(text)
    publish({given.out.name: text.encode()}, given.out.parent)


if __name__ == "__main__":
    main()
