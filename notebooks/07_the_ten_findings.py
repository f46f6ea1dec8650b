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
# # The ten findings
#
# Ten published findings say what tuning does to reasoning: traces written after the fact lower information
# gain, whole searches teach more than shortest ways, one vector brings out what the base already had, and
# so on. For each there is a pair of small organisms that was trained to show it, and a measure that either
# sees it or does not. docs/findings.md has all ten with their intervals over several seeds. This notebook
# builds one pair and measures it, so that you can do the same to checkpoints of your own.
#
# The finding: *training on whole searches, dead ends included, teaches more than training on the way to the
# answer alone* (Stream of Search, arXiv 2404.03683).
#
# ## The pair
#
# Both learn the same problems from nothing, for as many steps: given numbers and a target, which signs lead
# from the one to the other? `exploration` reads searches as they go, `shortcut` the way that succeeded.

# %%
from pathlib import Path

from undertext import MeasureConfig, build_organism, load_task, measure

here = Path("organisms")
exploration = build_organism("exploration", out=here, threads=1)
shortcut = build_organism("shortcut", out=here, threads=1)
task = load_task(here / "task-countdown")
problem = task.split("test")[1]
print(problem.prompt)
print(problem.trace)

# %% [markdown]
# The task says of its own steps which stand in a dead end: no sign that is left leads from them to the
# target.

# %%
for step in problem.steps:
    print("dead " if step.dead else "alive", step.text)

# %% [markdown]
# ## What they write
#
# Accuracy and length first. `measure` takes a pair; the difference is paired over problems.

# %%
config = MeasureConfig(names=("style", "exploration", "information"), problems=100, threads=1)
found = measure(shortcut, exploration, task, config=config)


def show(measure: str, *names: str) -> None:
    """Some figures of the pair, with intervals and the change."""
    for name in names:
        each = found.of(measure, name, "own traces")
        print(name)
        for who, figure in (("shortcut", each.base), ("exploration", each.tuned), ("change", each.change)):
            if figure is not None:
                print(f"    {who:<12} {figure.value:6.2f} [{figure.low:.2f}, {figure.high:.2f}]")


outputs = found.table("outputs")
print(outputs.groupby("checkpoint")[["right", "words"]].mean())

# %% [markdown]
# ## Dead ends
#
# One of them enters dead ends and leaves them again. The other has never seen one, and must know the way
# before the first step.

# %%
show("exploration", "dead ends entered", "dead ends left")

# %% [markdown]
# Do activations know that a branch is dead before the text says so? A probe reads it at the end of a first
# step, beside nulls: what the text's surface tells, shuffled labels, a random initialisation. Whatever was
# not measured is listed with its reason.

# %%
readings = found.table("readings")
print(readings.groupby("checkpoint")[["right", "surface", "shuffled", "random_init"]].mean())
for each in found.unmeasured:
    print(f"{each.measure}: {each.what}: {each.reason}")

# %% [markdown]
# ## The answer along the trace
#
# Information gain: how much likelier the right answer becomes, step by step.

# %%
found.figure("along")

# %% [markdown]
# One pair is one draw: another seed has another base, other documents and other problems. The page has
# several, with an interval over seeds *and* problems:
#
#     undertext zoo build findings --seed 0 --out organisms
#     python -m docs.make findings --numbers 3
