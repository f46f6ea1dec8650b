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
# # Which features predict the values, and what became of them
#
# A sparse autoencoder of a shipped base, trained by sae-lens on the residual stream of layer 2, at every
# token of the task's prompts and traces (`pip install -e '.[saes]'` in the clone).

# %%
from pathlib import Path
from tempfile import mkdtemp

from undertext import (
    DiffConfig,
    FeaturesConfig,
    TrainConfig,
    feature_diff,
    feature_table,
    new_chain,
    train_dictionary,
)

task = new_chain(seed=0, train=200, dev=60, test=120, ood=0)
out = Path(mkdtemp())
config = TrainConfig(
    layers=(2,), d_sae=256, k=8, steps=800, batch_size=512, held_out=2000, lr=2e-3, threads=1
)
trained = train_dictionary("zoo:base", task=task, config=config, out=out / "sae", progress=False)
trained.fidelity

# %% [markdown]
# ## Which features predict the value
#
# A feature is chosen for the value it predicts best on `dev`, at the last token before the trace says it, and
# read on `test`. A feature that is only a detector of the trace's words would fire as much where those
# words are put into prompts without a trace: it fails.

# %%
read = FeaturesConfig(words=("answer",), pages=7, threads=1)
found = feature_table("zoo:base", task, trained.folder, config=read)
table = found.table("features").loc[found.summary["most_associated"]]
columns = [
    "value_class",
    "value_auroc",
    "value_information",
    "frequency",
    "reason_score",
    "injection_d",
    "fails",
]
table[columns].round(3)

# %% [markdown]
# ## What became of them
#
# The same autoencoder reads both checkpoints at the same tokens. In `overwritten` the capability was
# trained away.

# %%
followed = {
    name: feature_diff(
        "zoo:base", f"zoo:{name}", task, sae=trained.folder, config=DiffConfig(effects=0, pages=1, threads=1)
    )
    for name in ("suppressed", "overwritten")
}
for name, each in followed.items():
    shares = {fate: round(share, 2) for fate, share in each.summary["fates"].items()}
    print(f"{name:<12} {shares}")

# %%
followed["overwritten"].figure()

# %% [markdown]
# In `suppressed`, which answers only behind a password, the features predict what they predicted in the base:
# covered, not erased. In `overwritten` they predict next to nothing.

# %%
followed["suppressed"].figure()

# %% [markdown]
# ## A feature
#
# Where it fires in base and in the overwritten model, side by side, how strongly, and what it writes.

# %%
result = followed["overwritten"]
result.page(result.summary["most_associated"][0])
