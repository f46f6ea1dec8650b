"""Batches: what they hold, and what becomes of one that does not fit in memory."""

import resource
import subprocess
import sys
import textwrap
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.activations.reference import PROMPTS
from undertext.activations import Branch, HookPoint, UserError, capture, generate, score_branches
from undertext.activations.batching import batch_logits_on, batch_tokens_on, out_of_memory, run_batches


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 120))
def test_every_prompt_is_in_one_batch_and_batches_keep_to_their_budget(lengths, tokens):
    batches: list[list[int]] = []
    run_batches(lengths, tokens, batches.append)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= tokens
    in_order = [lengths[index] for batch in batches for index in batch]
    assert in_order == sorted(lengths, reverse=True)
    for batch, after in pairwise(batches):  # none is smaller than it has to be
        longest = max(lengths[index] for index in batch)
        assert (len(batch) + 1) * longest > tokens, after


@given(
    st.sampled_from(["cpu", "cuda", "mps"]), st.integers(1, 300_000), st.floats(0.001, 1.0, allow_nan=False)
)
def test_a_pass_over_a_large_vocabulary_reads_fewer_tokens(device, d_vocab, share):
    place = torch.device(device)
    numbers = 16 * 2**20 if device == "cpu" else 512 * 2**20
    tokens = batch_logits_on(place, d_vocab, share)
    assert 1 <= tokens <= batch_tokens_on(place)
    assert tokens * d_vocab * share <= numbers * (1 + 1e-9)
    if tokens < batch_tokens_on(place):  # and no fewer than it has to
        assert (tokens + 1) * d_vocab * share > numbers * (1 - 1e-9)


@settings(max_examples=20)  # each batch that does not fit has memory collected, which takes long
@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 60), st.integers(20, 300))
def test_a_batch_that_does_not_fit_is_halved_until_it_does(lengths, fits, tokens):
    done: list[int] = []
    failed = 0

    def run(batch: list[int]) -> None:
        nonlocal failed
        if sum(lengths[index] for index in batch) > max(fits, max(lengths)):
            failed += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.extend(batch)

    run_batches(lengths, tokens, run)
    assert sorted(done) == list(range(len(lengths)))
    assert failed <= 5  # later batches start no larger than what fitted


def test_a_prompt_that_does_not_fit_alone_is_named():
    def run(batch: list[int]) -> None:
        if 1 in batch:
            raise MemoryError

    with pytest.raises(UserError, match="prompt 1 alone, of 7 tokens, does not fit in memory"):
        run_batches([3, 7, 2], 100, run)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def run(batch: list[int]) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        run_batches([1, 2], 10, run)


def test_torch_says_on_a_cpu_what_is_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(raised.value)


class Scarce:
    """Memory for so many tokens a pass, over the life of a test."""

    def __init__(self, model, most: int):
        self.failed = self.ran = 0
        self.most = most
        self.handle = model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module, args, kwargs):
        if kwargs["input_ids"].numel() > self.most:
            self.failed += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.ran += 1


def test_capture_goes_on_in_smaller_batches(llama):
    points = [HookPoint(1, "resid_mid"), HookPoint(0, "resid_post")]
    whole = capture(llama, PROMPTS, points, "all")
    scarce = Scarce(llama.model, 40)
    try:
        found = capture(llama, PROMPTS, points, "all")
    finally:
        scarce.handle.remove()
    assert scarce.failed
    torch.testing.assert_close(found.activations, whole.activations, atol=1e-5, rtol=1e-5)


def test_generation_goes_on_in_smaller_batches_and_counts_rows_once(llama):
    whole = generate(llama, PROMPTS, max_new_tokens=9, samples=3, temperature=1.0)
    counted: list[int] = []
    scarce = Scarce(llama.model, 40)
    try:
        found = generate(
            llama, PROMPTS, max_new_tokens=9, samples=3, temperature=1.0, progress=counted.append
        )
    finally:
        scarce.handle.remove()
    assert scarce.failed
    assert found == whole
    assert sum(counted) == 21


def test_a_failure_after_rows_have_finished_counts_them_once(llama):
    # The pass at which memory runs out comes when some rows have ended and have been told of.
    counted: list[int] = []
    passes = 0

    def fail_late(module, args, kwargs):
        nonlocal passes
        passes += 1
        if passes == 8:
            raise torch.OutOfMemoryError("CUDA out of memory")

    stop = [llama.decode([generate(llama, PROMPTS, max_new_tokens=9).tokens[0][2]])]
    whole = generate(llama, PROMPTS, max_new_tokens=9, stop=stop)
    handle = llama.model.register_forward_pre_hook(fail_late, with_kwargs=True)
    try:
        found = generate(llama, PROMPTS, max_new_tokens=9, stop=stop, progress=counted.append)
    finally:
        handle.remove()
    assert passes > 8
    assert found == whole
    assert sum(counted) == len(PROMPTS)


@pytest.mark.slow
def test_a_machine_with_little_memory(tmp_path):
    """A real shortage: the address space of a process is limited so that the whole batch does not fit."""
    script = textwrap.dedent(
        """
        import resource, torch
        from undertext.activations import Checkpoint, HookPoint, capture
        from tests.toys import tiny_model, word_tokenizer
        torch.set_num_threads(1)
        words = word_tokenizer()
        checkpoint = Checkpoint.load(tiny_model("llama", len(words), d_model=64, n_ctx=512), tokenizer=words)
        prompts = [[3 + (i * j) % 30 for j in range(400)] for i in range(256)]
        point = HookPoint(1, "resid_post")
        capture(checkpoint, prompts[:2], [point])
        sizes = []
        checkpoint.model.register_forward_pre_hook(
            lambda m, a, k: sizes.append(len(k["input_ids"])), with_kwargs=True)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 150 * 2**20, resource.RLIM_INFINITY))
        found = capture(checkpoint, prompts, [point], batch_tokens=10**6)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        alone = capture(checkpoint, prompts[17:18], [point])
        assert torch.allclose(found.activations[:, 17:18], alone.activations, atol=1e-5)
        assert sizes[0] == 256 and min(sizes[:-1]) < 256, sizes
        """
    )
    assert resource.getrlimit(resource.RLIMIT_AS)[1] == resource.RLIM_INFINITY
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]


@pytest.mark.parametrize(
    "method", ["packed", *(pytest.param(method, marks=pytest.mark.slow) for method in ("cached", "naive"))]
)
def test_scoring_branches_goes_on_in_smaller_batches(llama, method):
    trunks = llama.encode(PROMPTS)
    branches = [[Branch(at, [5, 6 + at]) for at in (1, len(ids))] for ids in trunks]
    whole = score_branches(llama, trunks, branches, method=method)
    counted: list[int] = []
    scarce = Scarce(llama.model, 30)
    try:
        found = score_branches(llama, trunks, branches, method=method, progress=counted.append)
    finally:
        scarce.handle.remove()
    assert scarce.failed
    torch.testing.assert_close(found.tokens, whole.tokens, atol=1e-5, rtol=1e-5)
    assert sum(counted) == 2 * len(PROMPTS)
    scarce = Scarce(llama.model, 3)
    try:
        with pytest.raises(UserError, match=r"trunk \d alone, with its branches, does not fit in memory"):
            score_branches(llama, trunks, branches, method=method)
    finally:
        scarce.handle.remove()
