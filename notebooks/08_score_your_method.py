# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Score a method of your own
#
# Any way of telling *elicited* from *taught* can be scored on organisms whose truth is known. A method is a
# function: two folders and a task go in, what it says of each split comes out. This notebook writes the
# method that most people use first, pass@k, and counts how often it is right.
#
# ## A judge
#
# "If the base gets a problem right in eight samples, it could do it all along."

# %%
import numpy as np

from undertext import Checkpoint
from undertext.activations import generate
from undertext.bench import Said, confusion_figure, score
from undertext.tasks import grade

K, PROBLEMS = 8, 60


def right(folder, task, split, samples, temperature):
    """[problem, sample]: whether outputs are right."""
    problems = task.split(split)[:PROBLEMS]
    made = generate(
        Checkpoint.load(folder),
        [each.prompt for each in problems],
        max_new_tokens=task.max_new_tokens,
        samples=samples,
        temperature=temperature,
    )
    answers = [each.answer for each in problems for _ in range(samples)]
    found = [
        grade(task.grader, text, answer).lenient for text, answer in zip(made.texts, answers, strict=True)
    ]
    return np.array(found).reshape(len(problems), samples)


def pass_at_8(base, tuned, task):
    """Whether the weaker one passes most problems of the gap in eight samples."""
    said = {}
    for split in ("test", "ood"):
        greedy = {
            name: right(folder, task, split, 1, 0.0)[:, 0]
            for name, folder in (("base", base), ("tuned", tuned))
        }
        change = greedy["tuned"].mean() - greedy["base"].mean()
        if abs(change) < 0.1:
            said[split] = Said("preserved", 0.9)
            continue
        weaker, folder = ("base", base) if change > 0 else ("tuned", tuned)
        stronger = "tuned" if weaker == "base" else "base"
        gap = greedy[stronger] & ~greedy[weaker]
        passed = right(folder, task, split, K, 1.0).any(1)[gap].mean()
        words = ("elicited", "taught") if change > 0 else ("suppressed", "overwritten")
        said[split] = Said(
            words[0] if passed > 0.5 else words[1], max(passed, 1 - passed), (passed, passed, passed)
        )
    return said


# %% [markdown]
# ## Its score on the shipped zoo
#
# Five pairs, two splits each, in a minute. `zoo:` needs nothing to be built.

# %%
scores = score(pass_at_8, "zoo:")
mine = scores.judges[0]
rate = mine.all.right
print(f"right in {rate.count} of {rate.of} cases [{rate.low:.2f}, {rate.high:.2f}]")

# %% [markdown]
# Where it is wrong, the most confident first. A guesser among seven answers passes most problems in eight
# samples: what pass@k finds there is luck, and nothing in the figure says so.

# %%
for each in mine.wrong:
    print(f"{each.case.organism:<12} {each.case.split:<5} is {each.case.truth}, called {each.verdict}")

# %%
confusion_figure(mine.confusion, "pass@8 on the shipped zoo: number of cases")

# %% [markdown]
# ## On the bench
#
# The zoo is five pairs of one task. The bench is built once, in some hours, and holds locks of many kinds,
# mixtures and several families, with a part that nothing may be tuned on:
#
#     undertext bench build --size quick --out bench
#
# and then, with the judge in a file of its own so that pairs can be judged side by side:
#
#     scores = score(my_module.pass_at_8, "bench", size="quick", jobs=2, out="scores")
#     scores.of("my_module:pass_at_8", "held out").all.right
#
# `score(None, "bench")` scores the verdict of undertext itself, and beside it the methods that look at one
# figure alone.
