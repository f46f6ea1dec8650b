"""How often a capability that cannot be there is called latent: `python -m benchmarks._false_latent`.

Not run by `make bench`: 200 pairs take half an hour of one core. A tiny model learns sums: to give the sum
at once (every other two seeds), or to work it out in steps. The weaker checkpoint of each seed was shown
nothing (even seeds), or the same problems with the numbers of their outputs dealt out anew (odd ones): then
it knows their form and frequencies and no sums. The whole of `compare` runs on the pair.

What each seed gave is kept in `--kept` as it comes, and a run goes on from there. Writes
docs/false_positives.md once all seeds are done.
"""

import argparse
import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, get_args

import torch

from tests.sums import blank, learnt, plain_problems, texts_of, tokenizer_for, worked_problems, write_by_hand
from undertext import compare
from undertext.activations import Checkpoint
from undertext.core.publish import publish
from undertext.core.statistics import exact_share
from undertext.core.terms import LineName
from undertext.jobs.bench.case import LATENT
from undertext.jobs.compare.config import CompareConfig

HERE = Path(__file__).parent.parent
PAGE = HERE / "docs" / "false_positives.md"
KEPT = HERE / "build" / "false_latent.jsonl"
TASKS = {"plain": (plain_problems, 4), "worked": (worked_problems, 24)}
"""Problems by task, and how many tokens their outputs may have."""
VERDICT = "verdict"
ABOUT = (
    "Made by `python -m benchmarks._false_latent`. A tiny model was shown sums, to give them at once or "
    "to work them out in steps. For each seed a weaker one was shown nothing, or wrong numbers of the "
    "same form: the truth is `taught`. A problem's paraphrase has its numbers the other way round. The whole "
    "of `compare` runs on each pair. A line counts where it was measured. `decodable` and `transported` "
    "alone never make a verdict. The interval is Clopper and Pearson's, 95%."
)


def dealt_out(problems: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The problems with the numbers of their outputs dealt out among them, each place among its likes."""
    wanted = [re.findall(r"\d+", rest) for _, rest in texts_of(problems)]
    places = list(zip(*wanted, strict=True))
    rng = random.Random(seed)
    drawn = list(zip(*(rng.sample(place, len(place)) for place in places), strict=True))
    made = []
    for problem, numbers in zip(problems, drawn, strict=True):
        left = iter(numbers)
        given = str(problem.get("trace", problem["answer"]))
        text = re.sub(r"\d+", lambda _, left=left: next(left), given)
        made.append({**problem, "trace": text} if "trace" in problem else {**problem, "answer": text})
    return made


def rephrased(problem: dict[str, Any]) -> dict[str, Any]:
    """The problem with a paraphrase: its numbers the other way round."""
    one, other = re.findall(r"\d+", problem["prompt"])
    return problem if one == other else {**problem, "paraphrases": [f"Q: {other} + {one} = ?"]}


def judged(seed: int, folder: Path) -> dict[str, str]:
    """The verdict of a seed's pair, and what each line of its evidence says."""
    name = "worked" if seed // 2 % 2 else "plain"
    make, length = TASKS[name]
    tokenizer = tokenizer_for(make())
    able = Checkpoint.load(
        learnt(make(), tokenizer, steps=300 if name == "worked" else 50), tokenizer=tokenizer
    )
    model = blank(tokenizer, seed) if seed % 2 == 0 else learnt(dealt_out(make(), seed), tokenizer, seed=seed)
    task = folder / name
    if not task.exists():
        write_by_hand(task, [rephrased(problem) for problem in make()], length)
    config = CompareConfig(
        seed=seed, samples=4, search_problems=20, vector_problems=32, random_directions=2, threads=1
    )
    weaker = Checkpoint.load(model, tokenizer=tokenizer)
    result = compare(weaker, able, task, config=config, progress=False).splits["test"]
    return {VERDICT: result.verdict, **{str(line.name): line.says for line in result.evidence}}


def kept_in(path: Path) -> dict[int, dict[str, str]]:
    """What earlier runs found, by seed."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row.pop("seed"): row for row in rows}


def counted(rows: Sequence[Mapping[str, str]]) -> dict[str, tuple[int, int]]:
    """How many seeds called it latent, and of how many; by line, and `verdict` for the verdict."""
    out = {}
    for name in (VERDICT, *get_args(LineName)):
        if own := [row[name] in ("latent", *LATENT) for row in rows if name in row]:
            out[name] = (sum(own), len(own))
    return out


def page(found: Sequence[Mapping[str, str]]) -> str:
    """The table as a page of the documentation."""
    rows = []
    for name, (count, of) in counted(found).items():
        share = exact_share(count, of)
        rows.append(f"| {name} | {count} | {of} | {share.value:.3f} | {share.low:.3f} to {share.high:.3f} |")
    given = Counter(row[VERDICT] for row in found).most_common()
    return "\n".join(
        [
            "# How often what is not there is called latent",
            "",
            fill(ABOUT, 120),
            "",
            f"Verdicts of {len(found)} pairs: {', '.join(f'{count} `{name}`' for name, count in given)}.",
            "",
            "| says latent | seeds | of | share | interval |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Run what is missing, and once nothing is, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = kept_in(given.kept)
    given.kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, given.kept.open("a", encoding="utf-8") as file:
        for seed in range(given.seeds):
            if seed not in found:
                found[seed] = judged(seed, Path(folder))
                print(json.dumps({"seed": seed, **found[seed]}), file=file, flush=True)
    text = page([found[seed] for seed in range(given.seeds)])
    print(text)
    publish({given.out.name: text.encode()}, given.out.parent)


if __name__ == "__main__":
    main()
