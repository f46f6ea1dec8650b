"""How a problem becomes what a checkpoint reads: its own text, a template, or the tokenizer's chat template.

    checkpoints, tasks, notes = ask(task, pair, ("base", "tuned"), seed)

The `prompt` of an asked task's problems is the text read, and `Problem.worded` that within a contrast's side.
Whatever reads a problem goes by these two.
"""

import inspect
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.core.printable import printable, shown
from undertext.core.terms import FIT, Role
from undertext.tasks.draws import drawn
from undertext.tasks.limits import limited
from undertext.tasks.prompt_form import PLAIN, PromptForm
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task, fill

Prompts = Literal["own", "same"]
"""Each of a pair by the task's form for its role, or both by the base's form."""
LONGEST = 2_000_000
"""Characters of a text that a chat template may make of a prompt."""
MOST_SHOWN = 1000
"""Tokens of a prompt in a report."""

INSTRUCTIONS = (
    "{prompt}\nLet's think step by step.",
    "Work out the answer step by step, then give it.\n{prompt}",
    "Answer correctly, as well as you can.\n{prompt}",
    "You are an expert and always give the right answer.\n{prompt}",
)
"""Generic instructions (the first is of Kojima et al., arXiv 2205.11916)."""


class Asked(NamedTuple):
    """Checkpoints as they are to read a task, and the task as each reads it, its limits set."""

    checkpoints: list[Checkpoint]
    tasks: list[Task]
    """One object for all that read the same."""
    notes: list[str]
    """What a reader of figures must know: that checkpoints were asked differently."""


def ask(task: Task, checkpoints: Sequence[Checkpoint], roles: Sequence[Role], seed: int) -> Asked:
    """The task as each checkpoint reads it in its role.

    Raises UserError where a tokenizer has no chat template, or where the template fails or makes a text of
    more than `LONGEST` characters.
    """
    forms = [form_of(task, role) for role in roles]
    asked = [ask_by(task, *each, seed) for each in zip(checkpoints, forms, strict=True)]
    tasks = limited([own for _, own in asked], [opened for opened, _ in asked])
    notes = []
    if any(form != forms[0] for form in forms):
        said = ", ".join(f"the {role} by {form}" for role, form in zip(roles, forms, strict=True))
        notes.append(f"checkpoints were asked differently: {said}; part of a difference may be the prompt's")
    elif any(own.problems[0].prompt != tasks[0].problems[0].prompt for own in tasks):
        notes.append("the chat templates differ: the checkpoints read different texts of one problem")
    return Asked([opened for opened, _ in asked], tasks, notes)


def form_of(task: Task, role: Role) -> PromptForm:
    """The form in which a task asks the checkpoint of this role."""
    own = task.tuned_prompt if role == "tuned" else None
    return own or task.prompt or PLAIN


def ask_by(task: Task, checkpoint: Checkpoint, form: PromptForm, seed: int) -> tuple[Checkpoint, Task]:
    """The task as `checkpoint` reads it by this form, and the checkpoint as it is to read it.

    Examples are drawn from train by the seed, the same ones for every problem but those whose prompt is among
    them: these have the next one instead, so that no problem is shown its own answer. Rendered templates hold
    their special tokens, so that the tokenizer puts none around them, as in `apply_chat_template`. Raises
    UserError as `ask`.
    """
    if form == PLAIN:
        return checkpoint, task
    shots = drawn(task.split(FIT), seed) if form.examples else []
    sides = [*INSTRUCTIONS, *(side for each in task.contrasts for side in (each.positive, each.negative))]
    problems = []
    for problem in task.problems:
        differ = (shot for shot in shots if shot.prompt.split() != problem.prompt.split())
        others = list(islice(differ, form.examples))
        texts = {side: _text(form, checkpoint, fill(side, problem.prompt), others) for side in sides}
        problems.append(problem.asked(_text(form, checkpoint, problem.prompt, others), texts))
    if form.kind == "chat":
        checkpoint = replace(checkpoint, special_tokens=False)
    return checkpoint, task.model_copy(update={"problems": problems})


def read_by(checkpoint: Checkpoint, problem: Problem) -> dict[str, Any]:
    """What a checkpoint reads of a problem, token by token: for a report."""
    (ids,) = checkpoint.encode([problem.prompt])
    tokens = [checkpoint.decode([token], start=False) for token in ids[:MOST_SHOWN]]
    return {"problem": problem.id, "ids": ids[:MOST_SHOWN], "tokens": tokens, "length": len(ids)}


def _text(form: PromptForm, checkpoint: Checkpoint, prompt: str, examples: Sequence[Problem]) -> str:
    """What is read of one problem, by this form."""
    asks = [fill(form.template, each) for each in (*(shot.prompt for shot in examples), prompt)]
    solutions = [shot.solution for shot in examples]
    if form.kind == "chat":
        turns = [{"role": "system", "content": form.system}] if form.system else []
        for question, solution in zip(asks, [*solutions, None], strict=True):
            turns.append({"role": "user", "content": question})
            if solution is not None:
                turns.append({"role": "assistant", "content": solution})
        text = _rendered(checkpoint, turns, form)
    else:
        solved = [join(question, solution) for question, solution in zip(asks, solutions, strict=False)]
        text = form.separator.join([*solved, asks[-1]])
    return text + (form.opening or "")


def _rendered(checkpoint: Checkpoint, turns: list[dict[str, str]], form: PromptForm) -> str:
    tokenizer: Any = checkpoint.tokenizer
    name = printable(checkpoint.name)
    if not tokenizer.chat_template:
        raise UserError(
            f"{name}: its tokenizer has no chat template, and the task asks it by one: give the task a "
            "`prompt` of kind plain or template for it"
        )
    template = tokenizer.get_chat_template()
    own = inspect.signature(tokenizer.apply_chat_template).parameters
    for switch in form.switches:  # an unknown one would change nothing, without a word
        if switch in own or not re.search(rf"\b{re.escape(switch)}\b", template):
            raise UserError(f"{name}: its chat template has no switch {shown(switch)}")
    try:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, **form.switches
        )
    except Exception as error:
        # A template raises what it likes (jinja2's errors, its own `raise_exception`, type errors).
        raise UserError(f"{name}: its chat template fails on this task: {one_line(error)}") from error
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        got = len(text) if isinstance(text, str) else type(text).__name__
        raise UserError(f"{name}: expected 1 to {LONGEST} characters from its chat template, got {got}")
    return text
