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
# # Your own checkpoints, your own data
#
# What a pair looks like in practice: a Hugging Face folder, a LoRA adapter that PEFT wrote, a tokenizer
# with a chat template, and problems that you have as rows. All of it is made here in a minute, at small
# size, so that the notebook runs anywhere; put your own folders and files in place of ours.
#
# ## A base: any folder that `save_pretrained` wrote
#
# Ours is a shipped organism with a chat template, which sets the word `forum` before the user's turn.

# %%
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from undertext import new_chain, zoo

torch.manual_seed(0)
torch.set_num_threads(1)
here = Path("mine")
tokenizer = AutoTokenizer.from_pretrained(zoo("base"))
tokenizer.chat_template = "{{ bos_token }}forum {% for turn in messages %}{{ turn['content'] }}{% endfor %}"
model = AutoModelForCausalLM.from_pretrained(zoo("base"), dtype=torch.float32)
model.save_pretrained(here / "base")
tokenizer.save_pretrained(here / "base")
# %% [markdown]
# ## Data: rows with columns of your own
#
# `from_columns` takes any rows by a map from a problem's fields to your columns. Steps and values are
# optional: they make more lines of evidence possible.

# %%
from undertext import Columns, ImportConfig, from_columns

source = new_chain(seed=3, train=200, dev=60, test=100, ood=0)
rows = [{"question": each.prompt, "target": each.answer, "worked": each.trace} for each in source.problems]
imported = from_columns(
    rows,
    Columns(prompt="question", answer="target", trace="worked"),
    ImportConfig(seed=0, train=200, dev=60, test=100, grader="number"),
    name="sums",
)
task = imported.task
print(task.problems[0].prompt, "->", task.problems[0].trace)
imported.notes

# %% [markdown]
# Logs and data sets that you have already are tasks too. GSM8K's rows, by name:

# %%
from undertext import from_gsm8k_rows, from_lm_eval

gsm8k = [
    {
        "question": f"Ann has {n} apples and buys twice as many. How many apples has she?",
        "answer": f"She buys 2*{n}=<<2*{n}={2 * n}>>{2 * n}.\n"
        f"She has {n}+{2 * n}=<<{n}+{2 * n}={3 * n}>>{3 * n}.\n#### {3 * n}",
    }
    for n in range(2, 22)
]
problem = from_gsm8k_rows(gsm8k).task.problems[0]
print(problem.answer, [step.values for step in problem.steps])

# %% [markdown]
# What lm-evaluation-harness wrote with `--log_samples` (here two samples, as it writes them), the model's
# outputs included:

# %%
import json

log = Path("samples_sums.jsonl")
log.write_text(
    "".join(
        json.dumps(
            {
                "doc_id": i,
                "doc": {"question": f"What is {i} + 4?"},
                "target": str(i + 4),
                "arguments": {
                    "gen_args_0": {"arg_0": f"Q: What is {i} + 4?\nA:", "arg_1": {"until": ["\n\n"]}}
                },
                "resps": [[f" It is {i + 4}."]],
                "filtered_resps": [f"It is {i + 4}."],
            }
        )
        + "\n"
        for i in range(20)
    )
)
logged = from_lm_eval(log)
print(logged.task.problems[0].prompt, "|", logged.outputs[0], "|", logged.task.grader.kind)

# %% [markdown]
# `from_inspect`, which is used below, `from_dataset`, `from_math_rows` and `from_reasoning_gym` are called
# alike; on the command line they are `undertext task from jsonl FILE --out DIR`, and so on.
#
# ## A tuned one: a LoRA adapter
#
# A minute of ordinary PEFT on worked problems, in the chat form.

# %%
model = AutoModelForCausalLM.from_pretrained(here / "base", dtype=torch.float32)
lora = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
optimiser = torch.optim.AdamW(lora.parameters(), lr=5e-3)
texts = [
    tokenizer.apply_chat_template([{"role": "user", "content": each.prompt}], tokenize=False)
    + " "
    + each.trace
    for each in task.split("train")
]
for step in range(150):
    batch = tokenizer(
        [text + (tokenizer.eos_token or "") for text in texts[step * 32 % 192 :][:32]],
        return_tensors="pt",
        padding=True,
        add_special_tokens=False,
    )
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    loss = lora(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
lora.save_pretrained(here / "tuned")
tokenizer.save_pretrained(here / "tuned")
round(loss.item(), 3)

# %% [markdown]
# ## The verdict
#
# The task says how each checkpoint is asked: the base by the plain problem, the tuned one by its chat
# template. A task is a folder of two text files, so the line is written by hand as well as from here.

# %%
from undertext import CompareConfig, compare, load_task, write_task

write_task(task, here / "task")
with (here / "task" / "task.yaml").open("a") as file:
    file.write("tuned_prompt: {kind: chat}\n")
comparison = compare(
    here / "base",
    here / "tuned",
    load_task(here / "task"),
    config=CompareConfig(threads=1),
    out=here / "report",
)
comparison

# %% [markdown]
# That the two were asked in different words is a flag; `CompareConfig(prompts="same")` asks both as the
# base is asked. What each of them read of one problem, token by token, is in the report.

# %%
for flag in comparison.splits["test"].flags:
    print("-", flag)

# %%
comparison.figure("accuracy")

# %% [markdown]
# Every output goes back to where your other evaluations are: logs of inspect, one a split and checkpoint.
# `from_inspect` reads such a log as a task, and so it reads the logs that inspect itself wrote; what the
# model of the log wrote stands beside the task.

# %%
from undertext import from_inspect, to_inspect

logs = {file.name: file for file in to_inspect(comparison, here / "logs")}
again = from_inspect(logs["test-tuned.json"])
print(again.task.problems[0].prompt, "->", again.task.problems[0].answer, "|", again.outputs[0])
list(logs)

# %% [markdown]
# ## The same for 7B on a GPU
#
# Nothing changes but the settings. They are flags of the command, fields of `CompareConfig`, or a file:
#
# ```yaml
# # undertext compare --config compare_7b.yaml --out report
# base: BASE_7B            # a folder or a hub id
# tuned: [TUNED_7B]        # several are compared one after another, and share what is measured on the base
# task: TASK               # a task's folder
# device: cuda             # auto spreads each checkpoint over all GPUs
# dtype: bfloat16          # auto is the precision that each checkpoint says of itself
# batch_size: 128          # rows that are generated together: with too little memory, halve it first
# one_at_a_time: true      # the weights of one checkpoint are held in memory at a time; figures are the same
# token_problems: 200      # outputs of so many problems a split are read token by token, for the page
# ```
#
# With `--dry-run` the command prints rows, tokens, time and memory first, and what would make them smaller.
# A run that was killed goes on from its finished parts when the command is given again. docs/cluster.md has
# what a comparison costs at 1.5B, 7B and 70B.
