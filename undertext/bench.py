"""Score any way of judging pairs on the bench of organisms whose truth is known.

from undertext.bench import Said, score

def judge(base, tuned, task):  # two folders, and the task that tells them apart
    ...
    return {"test": Said("elicited", 0.9), "ood": Said("undetermined", 0.5)}

scores = score(judge, "bench")
print(scores.of("__main__:judge", "held out").all.right)
"""

from pathlib import Path
from typing import Literal

from undertext.core.publish import check_writable, publish
from undertext.core.shipped import ZOO
from undertext.jobs.bench.calibration import reweighed
from undertext.jobs.bench.config import RunConfig
from undertext.jobs.bench.judges import Judge, Said
from undertext.jobs.bench.page import bench_files
from undertext.jobs.bench.run import run_bench
from undertext.jobs.bench.scores import JudgeScores, Scores, score_records
from undertext.jobs.bench.shipped import judge_shipped
from undertext.jobs.compare.config import verdict_rule
from undertext.report.figures.judged import confusion_figure

__all__ = ["Judge", "JudgeScores", "Said", "Scores", "confusion_figure", "score"]


def score(
    judge: Judge | None,
    bench: str | Path = "undertext-bench",
    *,
    size: Literal["quick", "standard"] = "standard",
    only: tuple[str, ...] = (),
    plan: str | Path | None = None,
    seed: int = 0,
    jobs: int = 1,
    out: str | Path | None = None,
) -> Scores:
    """What a judge is worth on the organisms that `undertext bench build` made below `bench`.

    Args:
        judge: from the folders of a base and of a tuned checkpoint (or of a LoRA adapter) and a task to what
            is said of each split; None is our own verdict, with the baselines beside it.
        bench: folder of the bench. What the judge says of a pair is kept there, and is not asked again; what
            another version of the judge's code said is refused. `zoo:` stands for the five pairs that come
            with the package: nothing is built or kept, and `size`, `only`, `plan` and `jobs` are
            ignored.
        size: set of organisms.
        only: families or worlds that are judged; without any, all of the set.
        plan: YAML file of the worlds; None takes the one that comes with undertext.
        seed: random seed of our own judge.
        jobs: number of pairs that are judged side by side; with more than 1 the judge must be a function that
            can be imported.
        out: folder that the page, its figures and bench.json are written to; None writes none.

    Raises UserError where organisms are missing, and where the judge answers otherwise than a judge does.
    """
    if out is not None:
        check_writable(Path(out))
    if str(bench) == ZOO:
        judged = judge_shipped(judge, seed)
    else:
        judged = run_bench(_config(size, only, plan, jobs, seed), Path(bench), judge)
    judged = list(reweighed(judged, verdict_rule()))
    if out is not None:
        publish(bench_files(judged), Path(out))
    return score_records(judged)


def _config(
    size: Literal["quick", "standard"], only: tuple[str, ...], plan: str | Path | None, jobs: int, seed: int
) -> RunConfig:
    return RunConfig(size=size, only=only, plan=None if plan is None else Path(plan), jobs=jobs, seed=seed)
