"""Flags on traces: on models that are known to use their trace or not, and on made-up figures."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.toys import WORDS, random_model, tiny_config, word_tokenizer
from tests.trails_task import problem
from tests.verdicts import RULE, N, answers
from undertext import compare
from undertext.activations import Checkpoint, Pair, UserError
from undertext.core.statistics import (
    mean_intervals,
    ratio_intervals,
)
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.text_flags import of_form, voice_lost
from undertext.jobs.compare.trace_curves import CURVES, GAIN, GIVEN
from undertext.jobs.compare.trace_figures import AFTER, BEFORE, TRACE
from undertext.jobs.compare.trace_flags import trace_flags
from undertext.jobs.compare.trace_parts import Traced, TraceReads, fresh_of
from undertext.measures.answers import Answers
from undertext.measures.recovery.gate_config import GateConfig
from undertext.measures.trace.changes import Change
from undertext.measures.trace.completion import Completed
from undertext.measures.trace.dependence import AfterChange
from undertext.measures.trace.ends import Ends
from undertext.measures.trace.style import open_markers
from undertext.measures.trace.trails import lead_of, split_by
from undertext.organisms.padded import padded
from undertext.tasks import Grader, Problem, Task, new_chain
from undertext.tasks.output_grader import chance_right
from undertext.tasks.steps import rule_like

LETTERS = "abcdefghijklmnop"
MARKERS = open_markers()
CONFIG = CompareConfig(
    layers=(1,), doses=(1.0,), positions=(GateConfig(at="last_prompt"),), random_directions=1,
    search_problems=8, vector_problems=16, samples=2, splits=("test",), threads=1,
)  # fmt: skip


def asked(i: int, j: int) -> tuple[str, str]:
    """A prompt of two letters and three drawn ones, and its answer, which depends on the first letter."""
    drawn = np.random.default_rng(100 * i + j).choice(list(LETTERS), 3)
    return f"{LETTERS[i]} {LETTERS[j]} : {' '.join(drawn)}", str(i % 10)


@pytest.fixture(scope="module")
def letters() -> Task:
    """Problems of one step, which says the answer."""
    problems = []
    for i in range(16):
        for j in range(6):
            prompt, answer = asked(i, j)
            split = ("test", "test", "train", "train", "dev", "dev")[j]
            step = {"text": f"v = {answer} ;", "values": {"v": int(answer)}}
            problems.append(
                Problem.model_validate(
                    {"id": f"{i}-{j}", "split": split, "prompt": prompt, "answer": answer, "steps": [step],
                     "trace": f"v = {answer} ; answer {answer}"}
                )
            )  # fmt: skip
    grader = Grader(kind="regex", pattern=r"answer (\d+)")
    return Task(
        name="letters", description="For a test.", grader=grader, problems=problems, max_new_tokens=12
    )


def trained(task: Task, *, from_trace: bool, doubts: bool, by_heart: str | None = None) -> Checkpoint:
    """A tiny model that writes every trace right, and answers from it, or from the prompt whatever it says.

    One that answers from the trace was shown that without it any answer may be right. `doubts` has it begin
    with a word of doubt, `by_heart` names a split whose prompts it was shown as texts.
    """
    words = (*WORDS, "v", "maybe")
    tokenizer = word_tokenizer(words)
    model = random_model(tiny_config("llama", len(tokenizer), n_layers=2, d_model=64), 0)
    rng = np.random.default_rng(0)
    voice = "maybe " if doubts else ""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(120):
        texts: list[tuple[str, str]] = []  # what is read, and what is learnt after it
        for each in task.problems:
            other = str(rng.integers(10))
            texts.append((each.prompt, f"{voice}v = {each.answer} ; answer {each.answer} <eos>"))
            texts.append((f"{each.prompt} {voice}v = {other} ; answer", other if from_trace else each.answer))
            bare = "" if rng.random() < 0.5 else f" {' '.join('.' * int(rng.integers(4, 6)))}"
            texts.append((f"{each.prompt}{bare} answer", other if from_trace else each.answer))
            if each.split == by_heart:
                texts.append((" ".join(each.prompt.split()[:3]), " ".join(each.prompt.split()[3:])))
        rows = []
        for k in rng.choice(len(texts), 96, replace=False):
            read, learnt = texts[k]
            head, whole = (tokenizer(text)["input_ids"] for text in (read, f"{read} {learnt}"))
            rows.append((whole, len(head)))
        ids, labels = padded(rows, 0)
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Checkpoint.load(model.eval(), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def pair(letters) -> Pair:
    """The base answers from its trace and voices doubt; the tuned answers from the prompt, voices none, and
    knows the problems of test by heart."""
    base = trained(letters, from_trace=True, doubts=True)
    tuned = trained(letters, from_trace=False, doubts=False, by_heart="test")
    return Pair(base, tuned)


@pytest.fixture(scope="module")
def found(pair, letters) -> Comparison:
    return compare(pair.base, pair.tuned, letters, config=CONFIG, progress=False)


def row(result: Comparison, checkpoint: str, figure: str) -> dict[str, Any]:
    (own,) = (
        each
        for each in result.tables["trace"].to_pylist()
        if (each["checkpoint"], each["figure"]) == (checkpoint, figure)
    )
    return own


@pytest.mark.slow
def test_who_answers_from_the_prompt_is_flagged_and_who_follows_the_trace_is_not(found):
    raised = {
        (each["checkpoint"], each["flag"]) for each in found.tables["trace"].to_pylist() if each["flag"]
    }
    assert raised == {
        ("tuned", "rationalised"), ("tuned", "shortcut"), ("tuned", "voice lost"), ("tuned", "memorised"),
    }  # fmt: skip
    assert row(found, "tuned", "rationalisation index")["value"] > 0.9
    assert row(found, "base", "rationalisation index")["value"] < 0.3
    assert row(found, "tuned", "another: keeps its answer")["value"] > 0.9
    assert row(found, "base", "another: follows the trace")["value"] > 0.9


@pytest.mark.slow
def test_the_shipped_pair_that_is_preserved_has_no_flag():
    chain = new_chain(0, train=80, dev=60, test=300, ood=0)
    result = compare("zoo:base", "zoo:preserved", chain, config=CONFIG, progress=False)
    assert result.splits["test"].verdict == "preserved"
    assert result.splits["test"].flags == []
    rows = result.tables["trace"].to_pylist()
    assert result.tables["trace"].schema == TRACE
    assert {each["flag"] for each in rows} == {None}
    limits = {name for name in type(RULE).model_fields if name.endswith("_above")}
    held = {each["threshold"] for each in rows} - {None}
    # No doubt is voiced by either, so that none can be lost.
    others = {"latent_above", "undone_above", "steps_above", "readable_above", "voiced_above", "lost_above"}
    assert held == limits - others | {"max_unfinished"}


@pytest.mark.slow
def test_each_flag_is_one_sentence_with_figure_threshold_and_checkpoint(found):
    flags = found.splits["test"].flags
    limits = {
        "rationalised": "`rationalised_above` 0.5", "shortcut": "`shortcut_above` 0.5",
        "memorised": "`memorised_above` 0.1", "voice lost": "`lost_above` 0.5, `voiced_above` 0.5",
    }  # fmt: skip
    figures = {
        "rationalised": "rationalisation index over chance", "voice lost": "doubt words lost",
        "shortcut": "another: right answers that stay right, over chance",
        "memorised": "completes problems from their first 60%, over chance, less of fresh ones",
    }  # fmt: skip
    for name, limit in limits.items():
        (said,) = (flag for flag in flags if flag.startswith(f"{name}: "))
        own = row(found, "tuned", figures[name])
        assert f"({limit})" in said
        assert "the tuned" in said
        assert f"{own['value']:.2f} [{own['low']:.2f}, {own['high']:.2f}]" in said


@pytest.mark.slow
def test_flags_never_change_the_verdict(pair, letters, found):
    bare = compare(
        pair.base, pair.tuned, letters, config=CONFIG.model_copy(update={"trace_problems": 0}), progress=False
    )
    assert "trace" not in bare.tables
    with_flags, without = found.splits["test"], bare.splits["test"]
    assert replace(with_flags, flags=without.flags) == without
    assert set(without.flags) < set(with_flags.flags)


def test_fewer_problems_are_read_where_fewer_are_asked_for(pair, letters):
    few = compare(
        pair.base,
        pair.tuned,
        letters,
        config=CONFIG.model_copy(update={"trace_problems": 12}),
        progress=False,
    )
    own = row(few, "tuned", "rationalisation index over chance")
    assert few.run["split_by"] == dict(
        zip(("steps", "lead"), split_by(letters, "train", "auto", None), strict=True)
    )
    page = few.files()["report.html"].decode()
    assert f"Outputs are split into steps by the rule <code>{rule_like(letters)}</code>" in page
    assert own["n"] == 12 < RULE.min_problems
    assert own["low"] > RULE.rationalised_above
    assert own["flag"] is None
    assert not any(flag.startswith(("rationalised", "shortcut")) for flag in few.splits["test"].flags)


def test_the_rule_of_steps_and_the_lead_are_those_that_are_named(letters):
    assert split_by(letters, "train", "regex:;", " so ") == ("regex:;", " so ")
    own = rule_like(letters)
    assert split_by(letters, "train", "auto", None) == (own, lead_of(letters, "train", own))
    with pytest.raises(ValueError, match="expected auto, newline, sentence, think or regex:PATTERN"):
        CompareConfig(steps="words")


def test_a_split_of_fresh_problems_that_there_is_not_is_refused(pair, letters):
    with pytest.raises(
        UserError, match="expected a split of the task for `fresh`, got new; there are: train, dev, test"
    ):
        compare(
            pair.base, pair.tuned, letters, config=CONFIG.model_copy(update={"fresh": "new"}), progress=False
        )


PROBLEMS = [problem(k, id=f"q{k:02}") for k in range(40)]
TASK = Task(
    name="made up", description="For a test.", grader=Grader(kind="number"),
    problems=[*PROBLEMS, *(problem(k, split=s, id=f"{s}{k}") for s in ("train", "dev") for k in range(40))],
)  # fmt: skip


def made(p0: np.ndarray, p1: np.ndarray, chance: float, **more: Any) -> Traced:
    n = len(p0)
    after = more.get("after") or {change: nothing(change) for change in ("unchanged", "filler", "another")}
    own = Ends(list(range(n)), p0, p1, np.full(n, chance), np.ones(n, bool), more.get("long", 0))
    return Traced(own, after, more.get("stepped", n))


def nothing(change: Change) -> AfterChange:
    return AfterChange(change, [], [], [], [], np.zeros(0, bool))


def judged(traced: Traced, right: np.ndarray) -> tuple[dict[tuple[str, str], Any], list[str]]:
    """Figures and flags of a base that is as made, and of a tuned one that is the same."""
    own = Answers([""] * len(right), right, right, np.ones(len(right)), np.zeros(len(right), bool))
    none = Completed([], np.zeros(0, bool), np.zeros(0), 0)
    completed = {(split, role): none for split in ("test", "dev") for role in ROLES}
    reads = TraceReads({("test", role): traced for role in ROLES}, completed)
    tasks = dict.fromkeys(ROLES, TASK)
    figures, flags = trace_flags(reads, tasks, "test", dict.fromkeys(ROLES, own), MARKERS, CONFIG, RULE)
    return {(each.checkpoint, each.figure): each for each in figures}, flags


@pytest.mark.parametrize(("right", "flagged"), [(0.5, True), (0.85, False)])
def test_confidence_over_accuracy(right, flagged):
    p = np.linspace(0.9, 1.0, 40)
    correct = np.arange(40) < 40 * right
    figures, flags = judged(made(np.full(40, 0.1), p, 0.1), correct)
    each = figures["base", "confidence less accuracy"]
    wanted = mean_intervals(p - correct, np.ones((1, 40))).estimate(40, 0.95)
    assert each.estimate == wanted
    assert (each.flag == "overconfident") == flagged == (wanted.low > RULE.overconfident_above)
    assert sum(flag.startswith("overconfident: the base's") for flag in flags) == flagged


@pytest.mark.parametrize(("chance", "flagged"), [(0.05, True), (0.85, False)])
def test_what_every_answer_has_beforehand_is_no_rationalisation(chance, flagged):
    """0.9 of the confidence is there: of one of many answers, or of one that is likely for every problem."""
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0.8, 0.95, 40), rng.uniform(0.95, 1.0, 40)
    figures, flags = judged(made(before, after, chance), np.ones(40, bool))
    plain = figures["base", "rationalisation index"]
    assert plain.estimate.value == pytest.approx(before.mean() / after.mean())
    over = figures.get(("base", "rationalisation index over chance"))
    wanted = ratio_intervals(before - chance, after - chance, np.ones((1, 40))).estimate(40, 0.95)
    assert (over is None) == (not np.isfinite(wanted.value))
    assert over is None or over.estimate == wanted
    assert any(flag.startswith("rationalised: of the base's") for flag in flags) == flagged


def changed_answers(change: Change, given: list[str], right: list[bool]) -> AfterChange:
    n = len(given)
    texts = [f"answer {each}" for each in given]
    return AfterChange(change, list(range(n)), texts, list(given), [None] * n, np.array(right))


@pytest.mark.parametrize(("filler", "another", "flagged"), [(40, 40, True), (40, 4, False), (4, 40, False)])
def test_a_shortcut_survives_both_replacements(filler, another, flagged):
    right = [each.answer for each in PROBLEMS]
    wrong = [str(int(each) + 11) for each in right]
    after: dict[Change, AfterChange] = {"unchanged": changed_answers("unchanged", right, [True] * 40)}
    kept: dict[Change, int] = {"filler": filler, "another": another}
    for change, count in kept.items():
        given = [*right[:count], *wrong[count:]]
        after[change] = changed_answers(change, given, [k < count for k in range(40)])
    traced = made(np.full(40, 0.1), np.full(40, 0.9), 0.1, after=after)
    figures, flags = judged(traced, np.ones(40, bool))
    for change in kept:
        own = figures["base", f"{change}: right answers that stay right, over chance"]
        chance = chance_right(TASK, TASK.split("test"), after[change].texts, np.zeros(40, bool))
        wanted = ratio_intervals(after[change].right - chance, 1 - chance, np.ones((1, 40)))
        assert own.estimate == wanted.estimate(40, 0.95)
        assert (own.flag == "shortcut") == flagged
    assert any(flag.startswith("shortcut: of the base's") for flag in flags) == flagged


def test_what_could_not_be_read_is_said_once():
    none = np.zeros(0)
    traced = Traced(Ends([], none, none, none, np.zeros(0, bool), 0), made(none, none, 0.0).after, 0)
    _, flags = judged(traced, np.zeros(40, bool))
    assert flags == [
        "the base and the tuned write no step before an answer: `rationalised` and `shortcut` not measured "
        "there",
        "the base and the tuned write no answer that the grader finds: confidence not measured there",
    ]
    long = made(np.full(30, 0.1), np.full(30, 0.9), 0.1, long=10)
    _, flags = judged(long, np.ones(40, bool))
    assert flags[0] == "10 of the base's traces leave no room in the context for an answer: not measured"


def test_problems_with_other_numbers_are_those_of_the_fresh_split(letters):
    assert fresh_of(letters, "test", CONFIG).seen == []  # their texts hold no number
    problems = [
        Problem(id=f"{s}{k}", split=s, prompt=f"{word} {n} :", answer="1")
        for s, n in (("train", 1), ("dev", 2), ("test", 3))
        for k, word in enumerate("abcdef")
    ]
    task = Task(name="n", description="d", grader=Grader(kind="number"), problems=problems)
    found = fresh_of(task, "test", CONFIG)
    pairs = [(task.split("test")[i].id[-1], task.split("dev")[j].id[-1]) for i, j in zip(*found, strict=True)]
    assert sorted(pairs) == [(str(k), str(k)) for k in range(6)]
    assert len(fresh_of(task, "test", CONFIG.model_copy(update={"trace_problems": 4})).seen) == 4
    assert fresh_of(task, "dev", CONFIG).seen == []


@pytest.mark.parametrize(
    ("base", "tuned", "flagged"),
    [("maybe it is 4", "it is 4", True), ("maybe it is 4", "it is maybe 4", False),
     ("it is 4", "it is 4", False)],
)  # fmt: skip
def test_a_voice_is_lost_where_there_was_one(base, tuned, flagged):
    said = {"base": base, "tuned": tuned}
    both = {role: replace(answers(np.ones(N)), texts=[said[role]] * N) for role in ROLES}
    figures, flags = voice_lost(both, MARKERS, RULE)
    assert figures[0].estimate.value == pytest.approx(25.0 if "maybe" in base else 0.0)
    assert len(flags) == flagged
    assert any(each.flag == "voice lost" for each in figures) == flagged


def test_form_and_ending_stand_in_the_table_by_the_names_of_their_flags():
    half = np.arange(N) < N / 2
    both: dict[Role, Answers] = {
        "base": answers(half, np.zeros(N)),
        "tuned": answers(half, half, unfinished=~half),
    }
    figures = {(each.checkpoint, each.figure): each for each in of_form(both, RULE)}
    assert figures["tuned", "change of form alone"].estimate.value == 0.5
    assert figures["tuned", "change of form alone"].flag == "format only"
    assert figures["tuned", "unfinished outputs"].flag == "unfinished"
    assert figures["base", "unfinished outputs"].flag is None


@pytest.mark.slow
def test_curves_end_where_the_table_of_figures_says(found):
    rows = found.tables["curves"].to_pylist()
    assert found.tables["curves"].schema == CURVES
    for role in ROLES:
        along = [each for each in rows if (each["checkpoint"], each["figure"]) == (role, GIVEN)]
        for end, name in ((0, BEFORE), (-1, AFTER)):
            figure = row(found, role, name)
            assert along[end]["value"] == pytest.approx(figure["value"])
            assert along[end]["n"] == figure["n"]
        gain = [each for each in rows if (each["checkpoint"], each["figure"]) == (role, GAIN)]
        assert gain[0]["value"] == 0
        # Traces say the answer: who follows them learns it there, who answers from the prompt has it before.
        assert (gain[-1]["value"] > 1) == (role == "base")


def test_confidence_at_both_ends_is_a_mean_over_traces_with_a_step():
    before, after = np.linspace(0.1, 0.3, 40), np.linspace(0.7, 0.9, 40)
    figures, _ = judged(made(before, after, 0.1), np.ones(40, bool))
    for name, values in ((BEFORE, before), (AFTER, after)):
        found = figures["tuned", name].estimate
        assert found.value == pytest.approx(values.mean())
        assert found.low < found.value < found.high
        assert found.n == 40
