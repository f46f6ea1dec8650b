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
# # Which values are read where, and since when
#
# Two checkpoints that come with the package, one task, three of four layers. One call reads the task's values
# off both, with controls; another draws them:

# %%
from undertext import ProbeConfig, new_chain, probe

task = new_chain(seed=0, train=200, dev=60, test=150, ood=0)
config = ProbeConfig(
    positions=("prompt_end", -1, 0), controls=("control", "surface"), layers=(0, 2, 3), draws=1, threads=1
)
result = probe({"base": "zoo:base", "novice": "zoo:novice"}, {"chain": task}, config=config)
result.heatmap(value="value")

# %% [markdown]
# Position 0 is the last token before a step's value is said. There the base holds the value, by far more
# than a probe can read of labels that mean nothing (selectivity); the novice does not, and its probes read
# nothing off the base.
#
# Every figure is a row of one table:

# %%
table = result.table("probes")
at_end = table[
    (table.split == "test") & (table.position == "0") & (table.checkpoint == "base") & table.chosen
]
at_end[["fitted_on", "control", "layer", "accuracy", "baseline", "selectivity"]]

# %% [markdown]
# ## Transfer across checkpoints and types
#
# The `taught` model learnt the task by itself, from other weights. Its probes read nothing off the base as
# they are; after a rotation fitted without labels they read nearly everything: the same content, encoded
# otherwise. On the novice both fail: there is nothing to read. Its own probes read next to nothing on itself
# (fitted equal to read), so what they read elsewhere after a rotation says only what the other holds.

# %%
names = {name: f"zoo:{name}" for name in ("base", "taught", "novice")}
config = ProbeConfig(positions=(0,), controls=(), layers=(3,), transfer=("checkpoint", "type"), threads=1)
transfer = probe(names, {"chain": task}, config=config).table("transfer")
pairs = transfer[(transfer.across == "checkpoint") & (transfer.split == "test")]
pairs.pivot_table(index=["fitted", "read"], columns="measure", values="figure").round(2)

# %% [markdown]
# Types of problems (two wordings here): fitted to all, or to all but the one that is read, beside the text
# alone.

# %%
types = transfer[(transfer.across == "type") & (transfer.split == "test")]
types.pivot_table(index=["checkpoint", "measure", "fitted"], columns="read", values="figure").round(2)

# %% [markdown]
# ## Along a trace
#
# The answer after every token of a trace, by a probe, by the logit lens (what a layer would have the model
# say next) and by a tuned lens, which first puts the layer into the terms of the last one. Of seven answers
# one is right by luck: 0.14 says nothing.

# %%
from undertext import TraceConfig, read_trace

traced = read_trace("zoo:base", task, config=TraceConfig(problems=60, threads=1))
traced.heatmap(before=6)

# %% [markdown]
# At what share of the problems the answer is read right just before the trace says it, and at what share one
# token earlier or more. The value is worked out when it is needed.

# %%
for lead in traced.by_layer:
    shares = f"right when said {lead.right_when_said:.2f}, early {lead.early:.2f}"
    print(f"{lead.reader}, layer {lead.layer}: {shares}")
