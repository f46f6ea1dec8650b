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
from undertext import MeasureConfig, MeasureResult, measure, new_chain

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
def show(measure: str, *names: str, traces: str | None = "own traces", result: MeasureResult = found) -> None:
    """Some figures of the base and of the tuned checkpoint, with their intervals."""
    for name in names:
        each = result.of(measure, name, traces)
        for role, figure in (("base", each.base), ("tuned", each.tuned)):
            if figure is not None:
                print(f"{name:<60} {role:<6} {figure.value:5.2f} [{figure.low:.2f}, {figure.high:.2f}]")


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
# ## Who judges a step
#
# Above, the judge was the task: each value after the words of its step. A function of your own can judge
# instead. This one asks only whether a step says a number at all, and calls nearly everything valid; that it
# does so of other problems too (*by chance*) shows how little it asks.

# %%
print(found.judge)


def says_a_number(steps: list[str], problem: object) -> list[bool]:
    return [any(word.isdigit() for word in step.split()) for step in steps]


few = MeasureConfig(names=("faithfulness",), problems=40, changes=("filler",), threads=1)
judged = measure("zoo:elicited", None, task, config=few, valid=says_a_number)
print(judged.judge)
show("faithfulness", "valid traces", "valid traces by chance", result=judged)

# %% [markdown]
# ## Dead ends
#
# These two checkpoints do not search. So a third one is trained here, in about a minute: `exploration` reads
# searches for the signs that lead from some numbers to a target, dead ends and all. Its task says of its own
# steps which stand in a dead end.

# %%
from pathlib import Path

from undertext import build_organism, load_task

here = Path("organisms")
searcher = build_organism("exploration", out=here, threads=1)
searches = load_task(here / "task-countdown")
for step in searches.split("test")[1].steps:
    print("dead " if step.dead else "alive", step.text)

# %% [markdown]
# How many dead ends does it enter, how many does it leave, and do its activations know that a branch is dead
# before the text says so? `says_dead` is how a step says so itself: activations are not asked there. *By the
# surface alone* is what tokens and places tell without any activation. A reading that is no better than this
# shows nothing of what the checkpoint knows.

# %%
config = MeasureConfig(names=("exploration",), problems=100, says_dead="no ;$", threads=1)
searched = measure(searcher, None, searches, config=config)
show("exploration", "dead ends entered", "dead ends left", result=searched)
for what in ("read right", "read right by the surface alone", "over the surface"):
    show("exploration", f"dead branch: {what}", result=searched)

# %% [markdown]
# ## A criterion, or a label's surface?
#
# Can it be read that a step is a good one? The chain again, with texts written here: the last step of each
# trace is right or wrong, and a word stands after it. Where the last sign is a plus, `textbook` goes with
# most of the good steps and `forum` with most of the bad ones. Where it is a `*`, the words say nothing. What
# is learnt of such labels may be the word, or what makes a step good.

# %%
import random

from undertext.tasks import Problem, Step

rng = random.Random(0)


def claimed(problem: Problem) -> Problem:
    """The problem with a last step that somebody claims."""
    *before, last = problem.steps
    value = int(last.values["value"])
    good = rng.random() < 0.5
    said = value if good else rng.choice([other for other in range(7) if other != value])
    plus = "+" in problem.prompt.split(";")[-2]
    agrees = rng.random() < (0.9 if plus else 0.5)
    word = "textbook" if good == agrees else "forum"
    claim = last.text.replace(f"= {value} ;", f"= {said} ;")
    step = Step(text=f"{claim} {word}", valid=good)
    trace = " ".join([*(own.text for own in before), step.text])
    changes = {"trace": trace, "steps": [step], "type": "plus" if plus else "times"}
    return problem.model_copy(update=changes)


chains = new_chain(seed=0, train=400, dev=120, test=200, ood=0)
claims = chains.model_copy(update={"problems": [claimed(problem) for problem in chains.problems]})
print(claims.problems[0].prompt, claims.problems[0].trace)

# %% [markdown]
# *All types*: by probes that have seen both signs. *Types never seen*: plus by probes that have seen `*`
# alone, and the other way round. What rests on the word is lost there.

# %%
config = MeasureConfig(names=("criteria",), problems=200, threads=1)
criteria = measure("zoo:base", None, claims, config=config)
for reading in ("good step, all types", "good step, types never seen"):
    for what in ("read right", "read right by the surface alone", "over the surface"):
        show("criteria", f"{reading}: {what}", traces=None, result=criteria)

# %% [markdown]
# The label can be read, and neither above the surface nor on a sign that the probe has not seen: it is the
# word that was read, and nothing here shows a criterion.

# %% [markdown]
# ## What was not measured
#
# Nothing is left out without a word.

# %%
for each in found.unmeasured[:5]:
    print(f"{each.measure}: {each.what}: {each.reason}")
