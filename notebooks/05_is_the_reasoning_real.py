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
# # Is the reasoning real?
#
# A verdict says whether a capability was there before the tune. It does not say whether the steps that a
# checkpoint writes are what its answers come from. This notebook measures the traces of one pair: `base`,
# which works out some problems of the `chain` task and guesses the others, and `elicited`, a short tune of
# it.

# %%
from undertext import MeasureConfig, measure, new_chain

task = new_chain(seed=0, train=200, dev=60, test=120, ood=120)
print(task.problems[0].prompt, "->", task.problems[0].trace)

# %% [markdown]
# All measures in one call. The task has no paraphrases, so two words that the checkpoints know are put before
# the question and count as other wordings.

# %%
config = MeasureConfig(problems=80, templates=("textbook {prompt}", "forum {prompt}"), threads=1)
found = measure("zoo:base", "zoo:elicited", task, config=config)
figures = {(each.measure, each.figure, each.traces): each for each in found.measured}
len(figures)


# %%
def show(measure: str, *names: str, traces: str = "own traces") -> None:
    """Some figures of the base and of the tuned checkpoint, with their intervals."""
    for name in names:
        each = found.of(measure, name, traces)
        for role, figure in (("base", each.base), ("tuned", each.tuned)):
            if figure is not None:
                print(f"{name:<45} {role:<6} {figure.value:5.2f} [{figure.low:.2f}, {figure.high:.2f}]")


# %% [markdown]
# ## What each step tells of the answer
#
# *Information gain* is how much likelier the right answer becomes with the trace, in nats. With seven
# answers that are equally likely, a trace that goes from nothing to certainty gains log 7 = 1.95. The
# *rationalisation index* is the share of the final confidence that was there before the first step: 1/7 =
# 0.14 for a checkpoint that knows nothing beforehand, 1 for one that knows the answer and writes the steps
# afterwards.

# %%
show("information", "gain, answer form (nats)", "rationalisation index")

# %% [markdown]
# The same, drawn: the probability of the answer along the trace.

# %%
found.figure("along")

# %% [markdown]
# ## When does confidence come?
#
# Of the answer that is finally given. The *commitment point* is the share of the steps after which its
# probability stays at 0.5 or more; the *area over the curve* is the larger, the later confidence comes.

# %%
show("confidence", "settles on its answer", "commitment point", "area over the curve")

# %% [markdown]
# ## Are the steps right?
#
# A trace is valid where every value of the problem's steps is said by its step's words, and right where it is
# said last. Beside it stands of how many other problems the same output would be a valid trace. Outputs that
# hold an answer and no trace are left out.

# %%
show("faithfulness", "valid traces", "valid traces by chance", "trace valid, right answer")

# %% [markdown]
# ## Does the answer follow the trace?
#
# The trace is changed, and the checkpoint goes on from there. An answer that comes from the trace is another
# one after another problem's trace, and is lost where dots stand in the place of the steps. An answer that
# comes from the question stays.

# %%
show("faithfulness", "another: follows the trace", "corrupted: follows the trace", "filler: keeps its answer")

# %% [markdown]
# Both checkpoints follow what they wrote, on the problems that they work out. They differ in how many these
# are:

# %%
show("faithfulness", "right answers")
show("information", "outputs with a step before the answer")

# %% [markdown]
# ## Wordings
#
# PromptSensiScore: 0 where all wordings of a problem are answered alike (all right or all wrong).

# %%
each = found.of("sensitivity", "PromptSensiScore")
print("base", each.base)
print("tuned", each.tuned)

# %% [markdown]
# ## How it is written, and whether it knows when it is wrong
#
# Neither voices a doubt: these checkpoints have no words for doubt. A probe at the prompt's end tells all the
# same which of the base's answers will be wrong. *Voiced* uncertainty, from doubt words alone, tells nothing
# here: an area of 0.5 is chance. The tuned checkpoint makes too few mistakes to fit either on.

# %%
show("style", "words", "hedges per 100 words", "outputs with a backtrack")
show("uncertainty", *(f"{kind}: area under the ROC curve" for kind in ("internal", "voiced")), traces="")

# %% [markdown]
# ## What the base finds surprising
#
# The tokens that the tuned checkpoint writes, by their rank under the base. Nearly all are the base's own
# first choice: the tune changed when to write steps, not what the steps are.

# %%
found.table("shifted_words").head()

# %% [markdown]
# ## What was not measured
#
# Nothing is left out without a word. Dead ends and criteria, for example, need another task: notebook 07
# measures dead ends.

# %%
for each in found.unmeasured[:5]:
    print(f"{each.measure}: {each.what}: {each.reason}")
