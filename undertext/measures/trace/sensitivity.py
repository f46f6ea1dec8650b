"""Sensitivity to a prompt's wording: PromptSensiScore, and what it has to do with confidence.

`PSS` of a problem with wordings P is `sum_{i<j} |Y(p_i) - Y(p_j)| / C(|P|, 2)`, where Y says whether the
answer under a wording is right; of a task the mean over problems (ProSA, arXiv 2410.12405). 0: all wordings
are answered alike; with two values of Y it is at most `|P| / (2 (|P| - 1))` for an even number of wordings.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import rankdata

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.forced import forced
from undertext.activations.spans import locate
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, fill


def wordings(problem: Problem, templates: Sequence[str]) -> list[str]:
    """The problem's own question, its paraphrases, and the question in each template; each once."""
    asked = [problem.question, *problem.paraphrases, *(fill(each, problem.question) for each in templates)]
    return list(dict.fromkeys(asked))


def sensitivity(figures: Sequence[float]) -> float | None:
    """PromptSensiScore of one problem from the figure of each of its wordings; None of fewer than two."""
    n = len(figures)
    if n < 2:
        return None
    ordered = np.sort(np.asarray(figures, float))
    # In order, the k-th of n values (from 0) is added k times and taken away n - 1 - k times.
    return float((ordered * (2 * np.arange(n) - n + 1)).sum() / (n * (n - 1) / 2))


def decoding_confidence(
    checkpoint: Checkpoint, prompts: Sequence[str], outputs: Sequence[str]
) -> Float[ndarray, " output"]:
    """Geometric mean of the probabilities of each output's tokens, given its prompt; NaN of an empty one."""
    tokens, places = [], []
    for prompt, output in zip(prompts, outputs, strict=True):
        text = join(prompt, output.strip()) if output.strip() else prompt
        begin = len(text) - len(output.strip()) if output.strip() else len(text)
        located = locate(checkpoint, text)
        ids = located.ids[: checkpoint.n_ctx]
        tokens.append(ids)
        places.append([i for i, (_, end) in enumerate(located.offsets[: len(ids)]) if end > begin and i > 0])
    scores = forced(checkpoint, tokens, places).log_probs
    return np.array([np.exp(np.mean(own)) if own else np.nan for own in scores], float)


def rank_columns(a: Float[ndarray, " problem"], b: Float[ndarray, " problem"]) -> Float[ndarray, "problem 5"]:
    """Columns whose means give Spearman's correlation of two figures (`correlation`): NaN where either is."""
    known = ~(np.isnan(a) | np.isnan(b))
    columns = np.full((len(a), 5), np.nan)
    if known.any():
        x, y = (rankdata(each[known]) / known.sum() for each in (a, b))
        columns[known] = np.stack([x, y, x * x, y * y, x * y], -1)
    return columns


def correlation(means: Float[ndarray, "... 5"]) -> Float[ndarray, "..."]:
    """Correlation from the means of x, y, x^2, y^2 and x y; NaN where either does not vary.

    Of ranks it is Spearman's; in a resample the ranks are those of the whole sample.
    """
    x, y, xx, yy, xy = (means[..., i] for i in range(5))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (xx - x * x) * (yy - y * y)
        return np.asarray(np.where(spread > 1e-12, (xy - x * y) / np.sqrt(np.maximum(spread, 0.0)), np.nan))
