"""The whole path on tasks written by hand, with a tokenizer trained here and models made here."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.killing import Step, killed_when
from tests.sums import (
    blank,
    learnt,
    plain_problems,
    tokenizer_for,
    worked_problems,
    write_by_hand,
)
from tests.toys import save_folder
from undertext import compare
from undertext.activations import Checkpoint, UserError
from undertext.jobs.compare.config import CompareConfig
from undertext.jobs.compare.result import Comparison
from undertext.probes import LogisticProbe

QUICK = CompareConfig(
    samples=4, doses=(1.0, 4.0), random_directions=2, search_problems=12, vector_problems=32, splits=["test"]
)


@dataclass(frozen=True)
class Made:
    """A task folder, the folder of a model that was shown its problems, and of one that was shown nothing."""

    task: Path
    length: int
    problems: list[dict[str, Any]]
    able: Path
    unable: Path
    tokenizer: PreTrainedTokenizerFast

    def test(self) -> list[dict[str, Any]]:
        """In the order of their ids, as a job has them."""
        test = [problem for problem in self.problems if problem["split"] == "test"]
        return sorted(test, key=lambda problem: str(problem["id"]))


@pytest.fixture(scope="session", params=[pytest.param("plain", marks=pytest.mark.slow), "worked"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    plain = request.param == "plain"
    problems, length = (plain_problems(), 4) if plain else (worked_problems(), 24)
    seed = 8 if plain else 6  # models whose outputs are not all alike
    tokenizer = tokenizer_for(problems)
    return Made(
        task=write_by_hand(folder / "task", problems, length),
        length=length,
        problems=problems,
        able=save_folder(folder / "able", learnt(problems, tokenizer), tokenizer),
        unable=save_folder(folder / "unable", blank(tokenizer, seed), tokenizer),
        tokenizer=tokenizer,
    )


@pytest.fixture(scope="session")
def gained(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    """From the model that was shown nothing to the one that was; and where it was written."""
    out = tmp_path_factory.mktemp("out") / "run"
    return compare(made.unable, made.able, str(made.task), config=QUICK, out=out), out


def right_on_their_own(made: Made, folder: Path) -> list[bool]:
    """Which test problems a model answers, by transformers' own generation, one prompt at a time."""
    model = Checkpoint.load(folder).model
    found = []
    for problem in made.test():
        ids = made.tokenizer(problem["prompt"], return_tensors="pt")["input_ids"]
        written = model.generate(  # type: ignore[operator]  # transformers types it as a tensor
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=made.length,
            do_sample=False,
            use_cache=False,
        )
        line = str(made.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)).split("\n")[0]
        found.append(re.findall(r"\d+", line)[-1:] == [str(problem["answer"])])
    return found


def test_a_hand_written_folder_runs_to_a_verdict(made, gained):
    comparison, _ = gained
    result = comparison.splits["test"]
    assert result.verdict == "taught"
    assert result.weaker == "base"
    assert result.confidence > 0.5
    names = [line.name for line in result.evidence]
    worked = any("steps" in problem for problem in made.problems)
    of_traces = ["prefilled"] if worked else [], ["continued", "used"] if worked else []
    # Where the operands stand right before a value, whoever reads the value need know nothing.
    read = [] if worked else ["decodable", "transported"]
    assert names == ["behaviour", "prompted", *of_traces[0], "noised", *of_traces[1], *read, "recovered"]
    assert any(re.match("not carried: .*, window", flag) for flag in result.flags) == worked
    assert not any(line.says == "latent" for line in result.evidence)
    assert comparison.summary["task"]["problems"] == {
        split: sum(p["split"] == split for p in made.problems) for split in ("train", "dev", "test")
    }


def test_accuracies_are_those_of_plain_generation(made, gained):
    result = gained[0].splits["test"]
    base, tuned = (right_on_their_own(made, folder) for folder in (made.unable, made.able))
    n = len(base)
    assert result.accuracy["base"].value == pytest.approx(sum(base) / n)
    assert result.accuracy["tuned"].value == pytest.approx(sum(tuned) / n)
    assert result.accuracy["difference"].value == pytest.approx((sum(tuned) - sum(base)) / n)
    table = gained[0].tables["problems"].to_pylist()
    assert [row["base_lenient"] for row in table] == base
    assert [row["tuned_lenient"] for row in table] == tuned
    assert [row["gap"] for row in table] == [t and not b for b, t in zip(base, tuned, strict=True)]
    assert [row["prompt"] for row in table] == [problem["prompt"] for problem in made.test()]


def test_what_is_read_is_what_the_task_names(made, gained):
    worked = "steps" in made.problems[0]
    probes = gained[0].tables["probes"].to_pylist()
    assert {row["name"] for row in probes} == ({"ones", "tens"} if worked else {"answer"})
    assert {row["layer"] for row in probes} == {0, 1}
    assert {row["checkpoint"] for row in probes} == {"base", "tuned", "transported"}
    # The model that knows the sums carries them somewhere; one row in the test split a problem.
    assert max(row["accuracy"] for row in probes if row["role"] == "stronger") > 0.5
    assert {row["n"] for row in probes} == {len(made.test())}


def test_accuracy_by_key_is_that_of_what_the_line_rests_on(gained):
    tables = gained[0].tables
    by_line = {row["line"]: row for row in tables["accuracy_by_key"].to_pylist()}
    (strongest,) = (row for row in tables["recovery"].to_pylist() if row["strongest"])
    for column in ("accuracy", "low", "high"):
        assert by_line["recovered"][column] == pytest.approx(strongest[column])
    base = gained[0].splits["test"].accuracy["base"].value
    assert all(base <= row["null"] <= 1 for row in by_line.values())  # the null keeps what was right


def test_readings_by_step_add_up_to_those_of_the_split(gained, made):
    tables = gained[0].tables
    by_step = tables["positions"].to_pylist()
    wanted = {("ones", 1), ("tens", 2)} if "steps" in made.problems[0] else {("answer", 0)}
    assert {(row["name"], row["step"]) for row in by_step} == wanted
    for row in tables["probes"].to_pylist():
        if row["name"] == "right":
            continue
        own = [each for each in by_step if all(each[key] == row[key] for key in ("role", "name", "layer"))]
        assert sum(each["n"] for each in own) == row["n"]
        right = sum(each["n"] * each["accuracy"] for each in own)
        assert right / row["n"] == pytest.approx(row["accuracy"])


def test_the_search_is_the_same_for_vectors_and_controls(made, gained):
    swept = gained[0].tables["sweep"].to_pylist()
    settings: dict[str, set[tuple[Any, ...]]] = {}
    for row in swept:
        settings.setdefault(row["vector"], set()).add((row["layer"], row["dose"], row["at"]))
    assert {"random 1", "random 2", "checkpoint delta"} <= set(settings)
    at = {name: {each[2] for each in tried} for name, tried in settings.items()}
    elsewhere = {name for name in settings if name.startswith("elsewhere: ")}
    assert elsewhere
    assert len({frozenset(tried) for name, tried in settings.items() if name not in elsewhere}) == 1
    assert len({len(tried) for tried in settings.values()}) == 1
    assert all(each.startswith("prompt token -") for name in elsewhere for each in at[name])
    kinds = {row["vector"]: row["control"] for row in swept}
    meant = [name for name, kind in kinds.items() if kind is None]
    for kind in ("shuffled labels", "random positions"):
        assert len([name for name in kinds if kinds[name] == kind]) == len(meant)
    assert len(settings["random 1"]) == 2 * len(QUICK.doses) * len(QUICK.positions)
    chosen = {row["vector"]: row for row in swept if row["chosen"]}
    for row in swept:
        assert row["lenient"] <= chosen[row["vector"]]["lenient"]
    recovered = {row["vector"]: row for row in gained[0].tables["recovery"].to_pylist()}
    assert set(recovered) == set(settings)
    for name, row in recovered.items():
        assert (row["layer"], row["dose"], row["at"]) == tuple(
            chosen[name][key] for key in ("layer", "dose", "at")
        )


def test_tokens_of_outputs_are_read_by_both_with_the_likelihoods_of_a_bare_pass(made, gained):
    rows = gained[0].tables["tokens"].to_pylist()
    texts = {row["id"]: row for row in gained[0].tables["problems"].to_pylist()}
    prompts = {str(problem["id"]): problem["prompt"] for problem in made.test()}
    models = {"base": Checkpoint.load(made.unable).model, "tuned": Checkpoint.load(made.able).model}
    assert {row["id"] for row in rows} == set(prompts)
    for row in rows:
        output = texts[row["id"]][f"{row['output']}_output"]
        assert all(0 <= start < len(output) for start in row["starts"])
        if row["id"] != next(iter(prompts)) or not output.strip():
            continue
        head = len(made.tokenizer(prompts[row["id"]])["input_ids"])
        ids = made.tokenizer(f"{prompts[row['id']]} {output.strip()}")["input_ids"]
        with torch.inference_mode():
            scores = models[row["reader"]](torch.tensor([ids])).logits[0].log_softmax(-1)
        # A space between prompt and output that is a token by itself is no part of the output.
        head += not made.tokenizer.decode([ids[head]]).strip()
        wanted = [float(scores[i - 1, ids[i]]) for i in range(head, len(ids))]
        assert row["log_probs"] == pytest.approx(wanted, abs=1e-4)
    assert {row["output"] for row in rows} == {"base", "tuned", "steered"}
    few = QUICK.model_copy(update={"token_problems": 0})
    same = compare(made.able, made.able, made.task, config=few)
    assert "tokens" not in same.tables
    assert same.run["not_measured"] == ["Tokens of outputs: `token_problems` is 0."]


def _hidden(made: Made, model: Any, layer: int, text: str) -> torch.Tensor:
    """What a block hands on at each token of a text, by a plain hook in a bare pass."""
    seen: list[torch.Tensor] = []
    handle = model.model.layers[layer].register_forward_hook(lambda *passed: seen.append(passed[-1]))
    with torch.inference_mode():
        model(torch.tensor([made.tokenizer(text)["input_ids"]]))
    handle.remove()
    return seen[0][0]


def test_the_probe_of_decodable_reads_each_token_of_the_outputs(made, gained):
    """Fitted here once more, on hidden states of bare passes: its softmax is what the table holds."""
    rows = gained[0].tables["tokens"].to_pylist()
    if "steps" in made.problems[0]:  # whoever reads these values need know nothing: no probe of them counts
        assert {(row["name"], row["layer"], row["label"], row["probe"]) for row in rows} == {(None,) * 4}
        (said,) = gained[0].run["not_measured"]
        assert said.startswith("A probe's reading at each token of the outputs: no value is read far enough")
        return
    assert gained[0].run["not_measured"] == []
    probes = [row for row in gained[0].tables["probes"].to_pylist() if row["chosen"]]
    texts = {row["id"]: row for row in gained[0].tables["problems"].to_pylist()}
    answers = {str(problem["id"]): str(problem["answer"]) for problem in made.problems}
    prompts = {str(problem["id"]): problem["prompt"] for problem in made.problems}
    for role, folder in (("base", made.unable), ("tuned", made.able)):
        model = Checkpoint.load(folder).model
        (chosen,) = (row for row in probes if row["checkpoint"] == role)
        own = [row for row in rows if row["reader"] == role]
        assert {(row["name"], row["layer"]) for row in own} == {("answer", chosen["layer"])}
        hidden = partial(_hidden, made, model, chosen["layer"])
        train = sorted((p for p in made.problems if p["split"] == "train"), key=lambda p: str(p["id"]))
        classes = sorted({str(problem["answer"]) for problem in train})
        X = torch.stack([hidden(problem["prompt"])[-1] for problem in train])
        y = torch.tensor([classes.index(str(problem["answer"])) for problem in train])
        probe = LogisticProbe(C=chosen["C"]).fit(X, y)
        for row in own[:6]:
            output = texts[row["id"]][f"{row['output']}_output"]
            assert row["label"] in (None, answers[row["id"]])  # None of a sum that train never shows
            if row["label"] is None or not output.strip():
                continue
            n = len(row["starts"])
            read = probe.predict_proba(hidden(f"{prompts[row['id']]} {output.strip()}")[-n:])
            wanted = read[:, classes.index(row["label"])].tolist()
            assert row["probe"] == pytest.approx(wanted, abs=2e-3)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_verdict(made, gained):
    again = compare(made.unable, made.able, made.task, config=QUICK, progress=False)
    assert again.summary == gained[0].summary
    for name, table in gained[0].tables.items():
        assert again.tables[name].equals(table), name


@pytest.mark.slow
def test_the_files_hold_what_was_returned(gained):
    comparison, out = gained
    written = json.loads((out / "verdict.json").read_text())
    assert written == {"run": comparison.id, **comparison.summary}
    assert (written["schema"], written["seed"]) == (10, 0)
    assert {path.name for path in out.iterdir()} == {
        "verdict.json", "report.html", "run.json", "figures", "tables",
    }  # fmt: skip
    loaded = Comparison.load(out)
    assert loaded.summary == comparison.summary
    assert loaded.splits == comparison.splits
    assert loaded._repr_html_() == comparison._repr_html_()
    assert json.loads(loaded.files()["run.json"]) == json.loads((out / "run.json").read_text())
    for name, table in comparison.tables.items():
        assert pq.read_table(out / "tables" / f"{name}.parquet").equals(table)


@pytest.mark.slow
def test_swapped_the_same_evidence_is_of_the_tuned(made, gained):
    lost = compare(made.able, made.unable, made.task, config=QUICK).splits["test"]
    result = gained[0].splits["test"]
    assert (lost.verdict, lost.weaker) == ("overwritten", "tuned")
    # There half of the change is undone as well, and p values are corrected for one line more.
    measured = [(each.withstood is None, each.line("undone") is None) for each in (lost, result)]
    assert measured == [(False, False), (True, True)]
    shown = [[replace(each, p=1.0) for each in found.evidence] for found in (lost, result)]
    assert [each for each in shown[0] if each.name != "undone"] == shown[1]
    assert lost.accuracy["difference"].value == -result.accuracy["difference"].value


@pytest.mark.slow
def test_killed_after_the_search_it_goes_on_from_there(made, gained, tmp_path, monkeypatch):
    out, searched = tmp_path / "out", tmp_path / "out" / "parts" / "steering" / "base" / "search.part"

    def work(done: Step) -> None:
        replace = os.replace

        def replaced(source: Any, target: Any) -> None:
            replace(source, target)
            done()

        vars(os)["replace"] = replaced  # in the copy of this process alone
        compare(made.unable, made.able, made.task, config=QUICK, out=out)

    killed_when(work, lambda steps: searched.exists())
    assert not (out / "verdict.json").exists()

    def never(*args: object, **more: object) -> None:
        raise AssertionError("what was finished is done again")

    for name in ("job.greedy", "measured.measure_own", "measured.measure_other", "measured.sampled"):
        monkeypatch.setattr(f"undertext.jobs.compare.{name}", never)
    monkeypatch.setattr("undertext.measures.recovery.parts.search", never)
    again = compare(made.unable, made.able, made.task, config=QUICK, out=out)
    assert again.summary == gained[0].summary
    for name, table in gained[0].tables.items():
        assert again.tables[name].equals(table), name
    assert not (out / "parts").exists()


@contextmanager
def two_threads() -> Iterator[None]:
    """torch's setting while the body runs; the body asks for one, since two are slow beside other work."""
    torch.set_num_threads(2)
    try:
        yield
    finally:
        torch.set_num_threads(1)


@pytest.mark.slow
def test_no_hook_no_thread_count_and_no_random_state_is_left_changed(made):
    base, tuned = (Checkpoint.load(folder) for folder in (made.unable, made.able))
    before = (base.fingerprint, tuned.fingerprint)
    config = QUICK.model_copy(update={"threads": 1, "max_layers": 1, "samples": 1})
    with two_threads():
        comparison = compare(base, tuned, made.task, config=config)
        assert torch.get_num_threads() == 2
    assert comparison.run["machine"]["threads"] == 1
    for checkpoint in (base, tuned):
        for module in checkpoint.model.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
    assert (replace(base).fingerprint, replace(tuned).fingerprint) == before
    # One layer at most: the last one.
    assert {row["layer"] for row in comparison.tables["probes"].to_pylist()} == {1}


def test_a_checkpoint_beside_itself_is_preserved(made):
    comparison = compare(made.able, made.able, made.task, config=QUICK)
    result = comparison.splits["test"]
    assert (result.verdict, result.weaker, result.evidence) == ("preserved", "neither", [])
    assert result.accuracy["difference"].value == 0
    with_steps = {"curves"} if any(problem.get("steps") for problem in made.problems) else set()
    assert set(comparison.tables) == {"problems", "trace", "tokens"} | with_steps
    assert not any(row["gap"] for row in comparison.tables["problems"].to_pylist())
    assert {row["steered_output"] for row in comparison.tables["problems"].to_pylist()} == {None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": ["ood"]}, "no split 'ood'; its splits: train, dev, test"),
        ({"splits": ["dev"]}, "'dev' cannot be judged"),
        ({"splits": []}, "expected a split to judge"),
        ({"layers": [0, 2]}, r"expected layers from 0 to 1, got \[0, 2\]"),
        ({"layers": []}, "expected layers from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(made, monkeypatch, change, message):
    def never(*args: object, **more: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr("undertext.jobs.compare.job.greedy", never)
    with two_threads():
        with pytest.raises(UserError, match=message):
            compare(made.able, made.able, made.task, config=QUICK.model_copy(update={"threads": 1, **change}))
        assert torch.get_num_threads() == 2


def test_nan_in_a_checkpoint_is_named(made):
    spoilt = Checkpoint.load(blank(made.tokenizer, seed=1), tokenizer=made.tokenizer)
    with torch.no_grad():
        next(spoilt.model.parameters())[:] = float("nan")
    with pytest.raises(UserError, match="NaN"):
        compare(made.able, spoilt, made.task, config=QUICK)
