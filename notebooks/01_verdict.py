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
# # A verdict in ten lines
#
# Two checkpoints and a task go in; a verdict a split comes out. The pair below comes with the
# package: `base` works out some problems of the `chain` task and guesses the others, `elicited` is
# `base` after a short tune and works out all of them. Did the tune teach it anything?

# %%
from undertext import CompareConfig, compare, new_chain

task = new_chain(seed=0, train=200, dev=60, test=120, ood=120)
print(task.problems[0].prompt, "->", task.problems[0].trace)

# %%
comparison = compare("zoo:base", "zoo:elicited", task, config=CompareConfig(search="halving", threads=1))
comparison

# %% [markdown]
# `elicited`: the base had it already. Each line of evidence says whether the weaker checkpoint holds
# the capability, and each stands against a null of its own.

# %%
for line in comparison.splits["test"].evidence:
    print(f"{line.name:<12} {line.says:<8} {line.estimate.value:.2f}, null {line.null.value:.2f}")

# %% [markdown]
# Accuracy before and after, and with the best steering vector found on `dev` added to the base, no
# weight touched:

# %%
comparison.figure("accuracy")

# %% [markdown]
# What can be read off each checkpoint, layer by layer, where a value is about to be said:

# %%
comparison.figure("probes")

# %% [markdown]
# And how recovery depends on the dose, beside random directions put through the same search:

# %%
comparison.figure("doses")

# %% [markdown]
# Everything behind the figures is a table:

# %%
comparison.table("recovery")[["split", "vector", "access", "accuracy", "recovered"]]
