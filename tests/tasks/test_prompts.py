"""Prompts as models were trained on them: against `apply_chat_template`, and against text written out."""

from dataclasses import replace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tests.toys import byte_tokenizer, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError
from undertext.tasks import Contrast, Grader, Problem, Step, Task
from undertext.tasks.draws import drawn
from undertext.tasks.prompt_form import PLAIN, PromptForm
from undertext.tasks.prompts import OTHER_FORM, ask, ask_by, read_by, with_other_form
from undertext.tasks.value_positions import reading_text, value_positions
from undertext.tasks.value_tokens import locate_values

CHATML = (
    "{{ start }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
CHAT = PromptForm(kind="chat")


def chatting(tokenizer: PreTrainedTokenizerFast, *, bos: bool = False) -> Checkpoint:
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML.replace("{{ start }}", "{{ bos_token }}" if bos else "")
    return Checkpoint.load(tiny_model("llama", len(tokenizer), n_ctx=256), tokenizer=tokenizer)


def a_task(**settings: Any) -> Task:
    problems = [
        Problem(
            id=f"{split}{i}",
            split=split,
            prompt=f"a = {i} ; find a ",
            answer=str(i),
            trace=f"so a = {i} ; {i}",
            steps=[Step(text=f"so a = {i}", values={"a": i})],
        )
        for split, numbers in (("train", range(5)), ("dev", range(3, 7)), ("test", (0, 8, 9)))
        for i in numbers
    ]
    given: dict[str, Any] = {"grader": Grader(kind="number"), "problems": problems, **settings}
    return Task(name="letters", description="For a test.", **given)


@pytest.mark.parametrize("bos", [True, False], ids=["bos in the template", "none"])
@pytest.mark.parametrize("tokenizer", [byte_tokenizer, word_tokenizer])
@pytest.mark.parametrize(
    ("form", "switches"),
    [
        (CHAT, {}),
        (PromptForm(kind="chat", system="find so", template="so {prompt}:", examples=2), {}),
        (PromptForm(kind="chat", switches={"enable_thinking": False}), {"enable_thinking": False}),
    ],
    ids=["bare", "system and examples", "a switch"],
)
def test_a_chat_prompt_is_what_apply_chat_template_gives(form, switches, tokenizer, bos):
    task, checkpoint = a_task(prompt=form), chatting(tokenizer(), bos=bos)
    (opened,), (own,), _ = ask(task, [checkpoint], ["base"], seed=3)
    shots = drawn(task.split("train"), 3)
    for problem, before in zip(own.problems, task.problems, strict=True):
        turns = [{"role": "system", "content": form.system}] if form.system else []
        for shot in [shot for shot in shots if shot.prompt != before.prompt][: form.examples]:
            turns.append({"role": "user", "content": form.template.replace("{prompt}", shot.prompt)})
            turns.append({"role": "assistant", "content": shot.trace or ""})
        turns.append({"role": "user", "content": form.template.replace("{prompt}", before.prompt)})
        wanted = checkpoint.tokenizer.apply_chat_template(
            turns, tokenize=True, add_generation_prompt=True, return_dict=False, **switches
        )
        (got,) = opened.encode([problem.prompt])
        assert got == wanted
        assert problem.prompt.count(before.prompt.strip()) == 1  # no problem is its own example


def test_a_value_is_read_before_it_is_said_in_a_rendered_prompt_too():
    for tokenizer in (byte_tokenizer(), word_tokenizer()):
        checkpoint = chatting(tokenizer, bos=True)
        opened, task = ask_by(a_task(), checkpoint, CHAT, 0)
        located = locate_values(opened, task.split("test"))
        for row, problem in enumerate(task.split("test")):
            (position,) = value_positions(problem)
            ids, at = located.tokens[row], located.position[row]
            assert ids == opened.encode([reading_text(problem)])[0]
            assert opened.decode(ids[: at + 1]).rstrip().endswith("so a =")
            assert opened.decode(ids[at + 1 :], start=False).strip().startswith(str(position.value))


def test_templates_and_examples_are_written_out():
    task, checkpoint = a_task(), chatting(byte_tokenizer())
    first, second, third = drawn(task.split("train"), 7, 3)
    form = PromptForm(kind="template", template="Q: {prompt}\nA:", examples=2, opening=" so")
    opened, own = ask_by(task, checkpoint, form, 7)
    assert opened is checkpoint  # the tokenizer's special tokens stay where there is no chat template
    read = {problem.id: problem.prompt for problem in own.problems}
    blocks = {p.id: f"Q: {p.prompt}\nA:" for p in task.problems}
    solved = {p.id: f"{blocks[p.id]} {p.trace}" for p in task.problems}
    assert read["test9"] == f"{solved[first.id]}\n\n{solved[second.id]}\n\n{blocks['test9']} so"
    assert read[first.id] == f"{solved[second.id]}\n\n{solved[third.id]}\n\n{blocks[first.id]} so"
    assert f"test{first.answer}" not in read or read[f"test{first.answer}"].count(first.prompt) == 1
    assert ask_by(task, checkpoint, PLAIN, 7) == (checkpoint, task)
    _, few = ask_by(task, checkpoint, PromptForm(kind="plain", examples=1, separator="\n"), 7)
    assert few.split("test")[2].prompt == f"{first.prompt}{first.trace}\n{task.split('test')[2].prompt}"


def test_a_contrast_stands_within_the_user_turn():
    contrast = Contrast(name="slow", positive="{prompt} step by step", negative="{prompt} at once")
    task, checkpoint = a_task(contrasts=[contrast]), chatting(byte_tokenizer())
    _, own = ask_by(task, checkpoint, CHAT, 0)
    raw, asked = task.problems[0], own.problems[0]
    turns = [{"role": "user", "content": f"{raw.prompt} step by step"}]
    wanted = checkpoint.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert asked.worded(contrast.positive) == wanted
    assert raw.worded(contrast.negative) == f"{raw.prompt} at once"


@pytest.mark.parametrize("form", [CHAT, PromptForm(kind="template", template="Q: {prompt}", examples=2)])
def test_a_paraphrase_is_read_as_the_problem_is(form):
    """As a task in which the paraphrase is the prompt has it read."""
    task, checkpoint = a_task(), chatting(byte_tokenizer())
    problem = task.split("test")[0]
    others = [f"what is {word} ? {problem.prompt}" for word in ("it", "a")]

    def with_test(**changed: Any) -> Task:
        own = problem.model_copy(update=changed)
        return task.model_copy(update={"problems": [own if p is problem else p for p in task.problems]})

    _, own = ask_by(with_test(paraphrases=others), checkpoint, form, 0)
    asked = [ask_by(with_test(prompt=other), checkpoint, form, 0)[1].split("test")[0] for other in others]
    assert own.split("test")[0].paraphrases == [each.prompt for each in asked]
    assert own.split("test")[0].question == problem.prompt


def test_each_of_two_is_asked_in_its_own_form_and_it_is_said():
    task = a_task(prompt=PromptForm(kind="template", template="Q: {prompt}"), tuned_prompt=CHAT)
    pair = [chatting(byte_tokenizer()), chatting(byte_tokenizer())]
    asked = ask(task, pair, ("base", "tuned"), 0)
    plain, chat = (own.problems[0].prompt for own in asked.tasks)
    assert plain == f"Q: {task.problems[0].prompt}"
    assert chat.startswith("<|im_start|>user")
    assert [each.special_tokens for each in asked.checkpoints] == [True, False]
    (note,) = asked.notes
    assert "asked differently: the base by a template, the tuned by the chat template" in note
    two = {name: PromptForm(kind="template", template=f"{name}: {{prompt}}") for name in ("P", "R")}
    apart = task.model_copy(update={"prompt": two["P"], "tuned_prompt": two["R"]})
    assert "asked differently" in ask(apart, pair, ("base", "tuned"), 0).notes[0]
    same = ask(task, pair, ("base", "base"), 0)
    assert same.notes == []
    assert {own.problems[0].prompt for own in same.tasks} == {plain}
    read = read_by(asked.checkpoints[1], asked.tasks[1].problems[0])
    assert "".join(read["tokens"]) == chat
    assert len(read["ids"]) == read["length"]
    other = replace(pair[1], tokenizer=byte_tokenizer())
    other.tokenizer.chat_template = "{{ messages[0]['content'] }}!"
    (note,) = ask(a_task(prompt=CHAT), [pair[0], other], ("base", "tuned"), 0).notes
    assert "the chat templates differ" in note


def test_a_chat_template_that_no_task_asks_by_is_told():
    pair = [chatting(byte_tokenizer()), chatting(byte_tokenizer())]
    (note,) = ask(a_task(), pair, ("base", "tuned"), 0).notes
    assert "a chat template, and the task names no form" in note
    assert "prompt: {kind: chat}" in note
    assert ask(a_task(prompt=PromptForm(kind="plain")), pair, ("base", "tuned"), 0).notes == []


def test_a_template_that_writes_the_date_is_told_unless_the_date_is_given():
    dated = CHATML + "{{ date_string if date_string is defined else strftime_now('%d') }}"
    checkpoint = chatting(byte_tokenizer())
    checkpoint.tokenizer.chat_template = dated
    (note,) = ask(a_task(prompt=CHAT), [checkpoint], ["base"], 0).notes
    assert "can write the date of the day" in note
    fixed = PromptForm(kind="chat", switches={"date_string": "26 Jul 2024"})
    asked = ask(a_task(prompt=fixed), [checkpoint], ["base"], 0)
    assert asked.notes == []
    assert all(problem.prompt.endswith("26 Jul 2024") for problem in asked.tasks[0].problems)


def test_what_cannot_be_asked_is_refused_in_words(monkeypatch):
    def refused(form: PromptForm, template: str | None) -> str:
        tokenizer = byte_tokenizer()
        tokenizer.chat_template = template
        checkpoint = Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)
        with pytest.raises(UserError) as caught:
            ask(a_task(prompt=form), [checkpoint], ["base"], 0)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "has no chat template" in refused(CHAT, None)
    assert "fails on this task: TemplateError: no system" in refused(
        CHAT, "{{ raise_exception('no\nsystem') }}"
    )
    assert "fails on this task" in refused(CHAT, "{% if %}")
    many = "{% for i in range(3000) %}{{ 'x' * 1000 }}{% endfor %}"
    assert "expected 1 to 2000000 characters from its chat template, got 3000000" in refused(CHAT, many)
    assert "MemoryError" in refused(CHAT, "{% set x = 'x' * 4000000000 %}{{ x[:3] }}")
    monkeypatch.setattr("undertext.tasks.chat.SECONDS", 0.5)
    loop = "{% for i in range(90000) %}" * 3 + "{% endfor %}" * 3
    assert "does not end: expected the texts of one problem within 0.5 seconds" in refused(CHAT, loop)
    for switch in ("enable_thinkin", "tokenize", "chat_template"):
        form = PromptForm(kind="chat", switches={switch: False})
        assert f"no switch '{switch}'" in refused(form, CHATML + "{# tokenize chat_template #}")


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({"kind": "chat", "template": "Q:"}, r"expected a template with \{prompt\} in it"),
        ({"kind": "plain", "template": "Q: {prompt}"}, "expected no template"),
        ({"kind": "plain", "system": "You"}, "expected no system"),
        ({"kind": "template", "template": "{prompt}", "switches": {"a": 1}}, "expected no switches"),
        ({"kind": "chat", "examples": 65}, "less than or equal to 64"),
        ({"kind": "chat", "few": 1}, "few"),
    ],
)
def test_a_form_that_says_what_its_kind_lacks_is_refused(form, fault):
    with pytest.raises(ValueError, match=fault):
        PromptForm(**form)


@pytest.mark.parametrize("bos", [True, False], ids=["bos in the template", "none"])
@pytest.mark.parametrize("tokenizer", [byte_tokenizer, word_tokenizer])
def test_either_checkpoint_can_read_what_the_other_is_asked(tokenizer, bos):
    """A base that is asked plainly and a tune that is asked by its template, which share a tokenizer."""
    checkpoint, task = chatting(tokenizer(), bos=bos), a_task(tuned_prompt=CHAT)
    (base, tuned), (plain, chat), _ = ask(task, [checkpoint, checkpoint], ["base", "tuned"], seed=0)
    for reader, own, other in ((base, plain, chat), (tuned, chat, plain)):
        asker = tuned if reader is base else base
        worded = with_other_form(own, other, reader)
        for problem, theirs, before in zip(worded.problems, other.problems, own.problems, strict=True):
            (wanted,), (got,) = asker.encode([theirs.prompt]), reader.encode([problem.worded(OTHER_FORM)])
            if bos or asker is base or not checkpoint.added.before:
                assert got == wanted
            else:  # a tokenizer puts its first token before whatever the base reads
                assert got == [*checkpoint.added.before, *wanted]
            assert problem.prompt == before.prompt
            assert problem.question == before.question
            assert problem.worded("so {prompt}") == before.worded("so {prompt}")
            assert not before.has_wording(OTHER_FORM)


def test_checkpoints_that_are_asked_alike_have_no_other_form():
    checkpoint, task = chatting(byte_tokenizer()), a_task(prompt=CHAT)
    asked = ask(task, [checkpoint, checkpoint], ["base", "tuned"], seed=0)
    assert with_other_form(asked.tasks[0], asked.tasks[1], asked.checkpoints[0]) is asked.tasks[0]
