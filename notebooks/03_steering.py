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
# # Recovered without training
#
# `base` works out some problems of the `chain` task and guesses the others; `elicited` works out all.
# How much of that gap does a vector recover in `base`, with no weight touched? Every vector, layer, dose and
# position is tried on `dev`, and so are the controls; the best setting of each is then applied to `test`.

# %%
from undertext import RoutesConfig, SteerConfig, new_chain, routes, steer

task = new_chain(seed=0, train=200, dev=60, test=120, ood=0)
config = SteerConfig(splits=("test",), search="halving", search_problems=24, threads=1)
steered = steer("zoo:base", task, stronger="zoo:elicited", config=config)
steered.figure()

# %% [markdown]
# The bands are what controls reach under the same search, random directions of the same norm among them.
# Where random directions reach as much as the vectors, the capability is easy to elicit and no vector is
# specific.
#
# What the best setting recovers of the gap on `test`, and by how much it beats the best control of each kind:

# %%
best = steered.splits["test"][steered.best_vector]
print(f"{best.vector!r} at layer {best.layer}, dose {best.dose:g}; access: {best.access}")
print(f"recovered gap {best.gap.value:.2f} [{best.gap.low:.2f}, {best.gap.high:.2f}]")
print(f"share of generated tokens steered: {best.steered:.2f}")
for kind, over in best.excess.items():
    more = over.accuracy
    print(f"over {kind}: accuracy {more.value:+.2f} [{more.low:.2f}, {more.high:.2f}]")

# %% [markdown]
# ## Other routes, the same problems
#
# Steering is one way of several. Below all of them answer the same problems with at most `budget` rows each.
# Two kinds are there for reference and are marked as training: a vector fitted to solutions, and vectors, or
# the weights of a copy, trained by nothing but the grader's verdict.

# %%
quick = RoutesConfig(
    splits=("test",), search="halving", search_problems=16, doses=(2.0,), positions=("last_prompt",),
    budget=4, layers=(1, 3), fit_steps=40, rlvr_steps=20, threads=1,
)  # fmt: skip
compared = routes("zoo:base", "zoo:elicited", task, config=quick)
compared.figure("routes")

# %% [markdown]
# The notes say how the reward went while they were trained, and in how many updates there was no gradient
# because all samples of each problem had one reward. The table holds every figure:

# %%
for note in compared.notes:
    print(note)
compared.table("routes")[["route", "training", "access", "tokens", "accuracy", "recovered"]]

# %% [markdown]
# Do they get the same problems right? Cohen's kappa, route by route:

# %%
compared.figure("agreement")
