"""What the benchmarks of `compare` rest on: tokens that are counted, larger pairs that compute the same."""

import importlib
import json
import subprocess
import sys

import pytest
import torch

from tests.imports import ROOT
from tests.toys import tiny_model, word_tokenizer
from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint


@pytest.fixture
def part(monkeypatch):
    """Imports a file of the benchmarks, as they import one another."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture(scope="module")
def toy():
    tokenizer = word_tokenizer()
    model = tiny_model("llama", len(tokenizer))
    model.generation_config.eos_token_id = None
    tokenizer.eos_token = None
    return Checkpoint.load(model, tokenizer=tokenizer)


def test_tokens_are_counted_without_padding_and_by_stage(part, toy):
    capture(toy, [[3, 4]], [HookPoint(0, "resid_post")])  # a layout is checked with a few tokens, once
    with part("_compare_work").counted() as counts:
        with counts.stage("read"):
            capture(toy, [[3, 4, 5, 6, 7], [3, 4, 5], [8, 9]], [HookPoint(0, "resid_post")])
        with counts.stage("write"), counts.stage("within"):
            generate(toy, [[3, 4, 5, 6], [7, 8]], max_new_tokens=3)
    assert dict(counts.read) == {"read": 5 + 3 + 2, "write": 4 + 2}
    # Of three tokens the first comes of the prompt, and the last is not read any more.
    assert dict(counts.written) == {"write": 2 * 2}
    assert counts.tokens == 20


def test_a_prompt_that_rows_share_counts_once(part, toy):
    capture(toy, [[3, 4]], [HookPoint(0, "resid_post")])
    with part("_compare_work").counted() as counts:
        generate(toy, [[3, 4, 5, 6]], max_new_tokens=2, samples=5, temperature=1.0, seed=[0])
    assert counts.read.total() == 4
    assert counts.written.total() == 5


@pytest.mark.parametrize("tokens", [1, 33, 1000])
def test_bare_passes_read_at_least_as_many_tokens(part, toy, tokens):
    work = part("_compare_work")
    passes, shape = work.bare_passes(toy.model, tokens, 8)
    with work.counted() as counts, pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "own_tokens", lambda ids, mask: ids.numel())  # random ids may repeat at the end
        passes()
    batch = int(shape.split()[0]) * 8
    assert tokens <= counts.read.total() < tokens + batch


@pytest.mark.parametrize("times", [{"layers": 2}, {"width": 2}, {"layers": 3, "width": 4}])
def test_a_larger_pair_computes_the_same(part, toy, times):
    own = toy.model
    larger = part("_compare_sizes").enlarged(own, **times)
    ids = torch.randint(3, own.config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(larger(ids).logits, own(ids).logits, rtol=1e-3, atol=1e-3)
    assert larger.config.num_hidden_layers == own.config.num_hidden_layers * times.get("layers", 1)
    assert larger.config.hidden_size == own.config.hidden_size * times.get("width", 1)


def test_problems_of_one_length_alone(part):
    sizes = part("_compare_sizes")
    task = sizes.of_length(3)
    assert {len(each.steps) for each in task.problems} == {3}
    assert [len(task.split(split)) for split in ("train", "dev", "test")] == [
        sizes.TRAIN,
        sizes.DEV,
        sizes.TEST,
    ]


def test_figures_that_differ_end_the_benchmark(part):
    held = part("_compare_held")
    alike = {"one": held.Held([0.0, 0.01], 0.02), "two": held.Held([0.5], 0.5)}
    held.agree(alike)
    with pytest.raises(
        SystemExit, match=r"two: the script's figures differ from ours by 0\.6, 0\.5 is allowed"
    ):
        held.agree({**alike, "two": held.Held([0.1, 0.6], 0.5)})
    with pytest.raises(SystemExit, match="two: nothing was held"):
        held.agree({**alike, "two": held.Held([], 0.5)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("compare.py", {"compare.floor", "compare.growth", "compare.resumed", "compare.peers"}),
        ("bench_case.py", {"bench.case"}),
        ("_compare_memory.py", {"compare.memory"}),
    ],
)
def test_a_quick_run_gives_every_id(name, ids):
    command = [sys.executable, str(ROOT / "benchmarks" / name), "--smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == ids
    assert all(ratio > 0 for ratio in found.values())
