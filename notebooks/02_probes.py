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
# # What reads where, and since when
#
# Two checkpoints that come with the package, one task, every layer. Three lines read the task's values
# off both, with controls, and draw them:

# %%
from undertext import ProbeConfig, new_chain, probe

config = ProbeConfig(positions=("prompt_end", -1, 0), controls=("control", "surface"), threads=1)
result = probe({"base": "zoo:base", "novice": "zoo:novice"}, {"chain": new_chain(seed=0)}, config=config)
result.heatmap(value="value")

# %% [markdown]
# Position 0 is the last token before a step's value is said. There the base holds the value, by far more
# than a probe can read of labels that mean nothing (selectivity); the novice does not, and its probes read
# nothing off the base.
#
# Everything is one table:

# %%
table = result.table.to_pandas()
at_end = table[
    (table.split == "test") & (table.position == "0") & (table.checkpoint == "base") & table.chosen
]
at_end[["fitted_on", "control", "layer", "accuracy", "baseline", "selectivity"]]

# %% [markdown]
# ## Along a trace
#
# The logit lens asks what a layer would have the model say next. A tuned lens first puts the layer into the
# terms of the last one; it is trained here, on the traces themselves.

# %%
import torch

from activations import Checkpoint, HookPoint
from probes import lens_kl, lens_reader, read_traces, train_tuned_lens
from undertext import zoo

torch.set_num_threads(1)
task = new_chain(seed=0)
base = Checkpoint.load(zoo("base"))
texts = {split: [f"{p.prompt} {p.trace}" for p in task.split(split)] for split in ("train", "dev")}
lens = train_tuned_lens(base, texts["train"], steps=100, lr=3e-3)
print("logit lens, KL before each block:", [f"{kl:.2f}" for kl in lens_kl(base, texts["dev"])])
print("tuned lens:                      ", [f"{kl:.2f}" for kl in lens_kl(base, texts["dev"], lens)])

# %% [markdown]
# Since when does a layer tell the last value? `lead` is how many tokens before the trace says it the reading
# is right and stays so; 0 is the token that is just about to say it. Of seven answers one is right by luck:
# a share of 0.14 a token before says nothing.

# %%
problems = task.split("test")[:100]
values = [str(value) for value in range(7)]
answers = torch.tensor([base.encode([f"= {value}"])[0][-1] for value in values])
points = [HookPoint(layer, "resid_post") for layer in range(base.n_layers)]
said = [f" {p.trace}".rindex(f"= {p.answer} ;") + 2 for p in problems]
readings = {
    name: read_traces(
        base,
        [p.prompt for p in problems],
        [f" {p.trace}" for p in problems],
        points,
        lens_reader(base, points, answers, each),
        [values.index(p.answer) for p in problems],
        said,
    )
    for name, each in (("logit lens", None), ("tuned lens", lens))
}
for name, reading in readings.items():
    for point in points:
        leads = reading.leads(point)
        told = sum(lead is not None for lead in leads.lead) / len(problems)
        print(f"{name}, {point}: told when it is said {told:.2f}, a token or more before {leads.share:.2f}")
