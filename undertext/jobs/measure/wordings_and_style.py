"""Sensitivity to wording, style, and token shift."""

from numpy import ndarray

from undertext.core.terms import Role
from undertext.jobs.measure.collected import difference_of_shares, spread
from undertext.jobs.measure.parts import Worded
from undertext.jobs.measure.stage import Stage, known
from undertext.measures.trace.sensitivity import correlation, rank_columns
from undertext.measures.trace.sensitivity import sensitivity as prompt_sensi_score
from undertext.measures.trace.token_shift import KINDS, shifted_words


def sensitivity(stage: Stage) -> None:
    """PromptSensiScore, and its correlation with the confidence of decoding."""
    if not any(subject.wordings for subject in stage.work.subjects.values()):
        stage.collected.miss(
            "sensitivity", "all of it", "the task has no paraphrases, and no templates were given"
        )
        return
    made: list[Worded] = stage.run.make([stage.work.wordings_part(role) for role in stage.roles])
    scores, sure, ranks = ({} for _ in range(3))
    for role, found in zip(stage.roles, made, strict=True):
        own: dict[int, list[int]] = {}
        for row, i in enumerate(found.index):
            own.setdefault(i, []).append(row)
        right = found.right.astype(float)
        scores[role] = spread(
            list(own), [prompt_sensi_score(right[rows].tolist()) for rows in own.values()], stage.n
        )
        stage.sensitivity[role] = scores[role]
        sure[role] = spread(
            list(own), [float(found.confidence[rows].mean()) for rows in own.values()], stage.n
        )
        ranks[role] = rank_columns(scores[role], sure[role])
        problems = stage.work.subjects[role].problems
        for i, rows in own.items():
            stage.collected.tables["wordings"] += [
                {
                    "problem": problems[i].id,
                    "checkpoint": role,
                    "wording": k,
                    "right": bool(found.right[row]),
                    "confidence": float(found.confidence[row]),
                }
                for k, row in enumerate(rows)
            ]
    stage.collected.add("sensitivity", "PromptSensiScore", "", "bounded", scores)
    stage.collected.add("sensitivity", "confidence of decoding", "", "bounded", sure)
    stage.collected.add(
        "sensitivity", "Spearman's correlation of the two", "", "statistic", ranks, statistic=correlation
    )


def style(stage: Stage) -> None:
    """Markers, length, repetition, and what came of backtracks."""
    rates: dict[str, dict[Role, ndarray]] = {}
    names = stage.work.markers.categories
    backtracks, mended, gaps, repeated = ({} for _ in range(4))
    for role in stage.roles:
        styles = stage.styles(role)
        for name in names:
            rates.setdefault(f"{name} per 100 words", {})[role] = known([s.rate(name) for s in styles])
        rates.setdefault("words", {})[role] = known([float(s.words) for s in styles])
        rates.setdefault("tokens", {})[role] = stage.work.answers[role].tokens
        repeated[role] = known([s.repeated for s in styles])
        backtracks[role] = known([float(s.backtracks > 0) for s in styles])
        mended[role] = known([None if s.mended is None else float(s.mended) for s in styles])
        gaps[role], statistic = difference_of_shares(stage.right[role].astype(float), backtracks[role])
    for name, columns in rates.items():
        stage.collected.add("style", name, "own traces", "mean", columns)
    stage.collected.add("style", "repeated runs of four words", "own traces", "bounded", repeated)
    stage.collected.add("style", "outputs with a backtrack", "own traces", "share", backtracks)
    stage.collected.add("style", "backtracks that changed the number", "own traces", "share", mended)
    stage.collected.add(
        "style", "accuracy with less without a backtrack", "own traces", "statistic", gaps,
        statistic=statistic,
    )  # fmt: skip


def shift(stage: Stage) -> None:
    """Token shift: the tuned one's tokens under the base."""
    if "tuned" not in stage.roles:
        stage.collected.miss("shift", "all of it", "there is no tuned checkpoint")
    elif stage.differing is not None:
        stage.collected.miss(
            "shift",
            "all of it",
            f"the tokenizers differ ({stage.differing}): ranks would be of other tokens",
        )
    else:
        (stage.shift,) = stage.run.make([stage.work.shift_part()])
        shares = [stage.shift.shares(i) for i in range(stage.n)]
        for kind in KINDS:
            values = known([None if each is None else each[kind] for each in shares])
            stage.collected.add(
                "shift", f"{kind} tokens", "the tuned one's outputs", "bounded", {"tuned": values}
            )
        names = ("word", "count", "shifted", "mean_rank")
        stage.collected.tables["shifted_words"] = [
            dict(zip(names, row, strict=True)) for row in shifted_words(stage.shift)
        ]
