"""How a problem becomes what a checkpoint reads: its own text, a template, or the tokenizer's chat template.

    checkpoints, tasks, notes = ask(task, pair, ("base", "tuned"), seed)

The `prompt` of an asked task's problems is the text read, `Problem.worded` that within a contrast's side, and
`paraphrases` are read by the same form. Whatever reads a problem goes by these three.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.vocabulary import Added
from undertext.core.printable import printable
from undertext.core.terms import FIT, Role
from undertext.tasks.chat import ChatTemplate, Turns
from undertext.tasks.draws import drawn
from undertext.tasks.limits import limited
from undertext.tasks.prompt_form import PLAIN, PromptForm
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task, fill

DAY = "strftime_now"
"""How a chat template asks for the date."""
MOST_SHOWN = 1000
"""Tokens of a prompt in a report."""

INSTRUCTIONS = (
    "{prompt}\nLet's think step by step.",
    "Work out the answer step by step, then give it.\n{prompt}",
    "Answer correctly, as well as you can.\n{prompt}",
    "You are an expert and always give the right answer.\n{prompt}",
)
"""Generic instructions (the first is of Kojima et al., arXiv 2205.11916)."""

OTHER_FORM = "the other checkpoint's form of {prompt}"
"""Name of the wording by which the other checkpoint of a pair is asked (`with_other_form`)."""


class Asked(NamedTuple):
    """Checkpoints as they are to read a task, and the task as each reads it, its limits set."""

    checkpoints: list[Checkpoint]
    tasks: list[Task]
    """One object for all that read the same."""
    notes: list[str]
    """What a reader of figures must know: that checkpoints were asked differently."""


def ask(task: Task, checkpoints: Sequence[Checkpoint], roles: Sequence[Role], seed: int) -> Asked:
    """The task as each checkpoint reads it in its role.

    Raises UserError where a tokenizer has no chat template, and where the template fails (`ChatTemplate`).
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
    unused = [
        printable(checkpoint.name)
        for checkpoint, form in zip(checkpoints, forms, strict=True)
        if form == PLAIN and task.prompt is None and getattr(checkpoint.tokenizer, "chat_template", None)
    ]
    if unused:
        have = "have" if len(set(unused)) > 1 else "has"
        notes.append(
            f"{' and '.join(dict.fromkeys(unused))} {have} a chat template, and the task names no form: "
            "problems were asked as plain text. `prompt: {kind: chat}` in task.yaml asks by the template, "
            "`prompt: {kind: plain}` says that plain text is meant"
        )
    for checkpoint, form in zip(checkpoints, forms, strict=True):
        dated = form.kind == "chat" and DAY in str(checkpoint.tokenizer.chat_template)
        if dated and not any("date" in switch for switch in form.switches):
            notes.append(
                f"{printable(checkpoint.name)}: its chat template can write the date of the day ({DAY}), so "
                "that another day's figures may differ; the template's own switch, where it has one "
                "(date_string, say), fixes the date"
            )
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
    template = ChatTemplate(checkpoint, form.switches) if form.kind == "chat" else None
    problems = []
    try:
        for problem in task.problems:
            differ = (shot for shot in shots if shot.prompt.split() != problem.prompt.split())
            others = list(islice(differ, form.examples))
            within = [fill(side, problem.prompt) for side in sides]
            prompts = [problem.prompt, *problem.paraphrases, *within]
            own, *texts = _texts(form, template, prompts, others)
            paraphrases, worded = texts[: -len(sides)], texts[-len(sides) :]
            problems.append(problem.asked(own, dict(zip(sides, worded, strict=True)), paraphrases))
    finally:
        if template is not None:
            template.close()
    if template is not None:
        checkpoint = replace(checkpoint, special_tokens=False)
    return checkpoint, task.model_copy(update={"problems": problems})


def with_other_form(task: Task, other: Task, checkpoint: Checkpoint) -> Task:
    """The task as `checkpoint` reads it, whose problems are also worded (`OTHER_FORM`) as those of `other`
    are: the same task as another checkpoint reads it. The task itself where no text differs.

    Rendered chat templates begin with the tokenizer's first tokens where the model was trained so; plain
    texts get them from the tokenizer. So a checkpoint that is asked by its template reads them before plain
    ones too.
    """
    pairs = list(zip(task.problems, other.problems, strict=True))
    if all(own.prompt == theirs.prompt for own, theirs in pairs):
        return task
    first = ""
    if not checkpoint.special_tokens:
        before = list(Added.by(checkpoint.tokenizer).before)
        first = "".join(checkpoint.tokenizer.convert_ids_to_tokens(before))
    problems = [
        own.also_worded(
            OTHER_FORM, theirs.prompt if theirs.prompt.startswith(first) else first + theirs.prompt
        )
        for own, theirs in pairs
    ]
    return task.model_copy(update={"problems": problems})


def read_by(checkpoint: Checkpoint, problem: Problem) -> dict[str, Any]:
    """What a checkpoint reads of a problem, token by token: for a report."""
    (ids,) = checkpoint.encode([problem.prompt])
    tokens = [checkpoint.decode([token], start=False) for token in ids[:MOST_SHOWN]]
    return {"problem": problem.id, "ids": ids[:MOST_SHOWN], "tokens": tokens, "length": len(ids)}


def _texts(
    form: PromptForm, template: ChatTemplate | None, prompts: Sequence[str], examples: Sequence[Problem]
) -> list[str]:
    """What is read of one problem for each of these prompts, by this form."""
    asked = [fill(form.template, shot.prompt) for shot in examples]
    own = [fill(form.template, prompt) for prompt in prompts]
    if template is None:
        solved = [join(ask, shot.solution) for ask, shot in zip(asked, examples, strict=True)]
        texts = [form.separator.join([*solved, each]) for each in own]
    else:
        before: Turns = [{"role": "system", "content": form.system}] if form.system else []
        for ask, shot in zip(asked, examples, strict=True):
            before += [{"role": "user", "content": ask}, {"role": "assistant", "content": shot.solution}]
        texts = template.texts([[*before, {"role": "user", "content": each}] for each in own])
    return [text + (form.opening or "") for text in texts]
