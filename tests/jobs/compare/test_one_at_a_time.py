"""`one_at_a_time`: the weights of one checkpoint are in memory at a time, and the verdict is the same."""

import json
from pathlib import Path
from weakref import WeakSet

import pytest

from tests.sums import blank, learnt, plain_problems, tokenizer_for
from tests.toys import save_folder
from undertext import compare
from undertext.activations.weights import Weights
from undertext.jobs.compare.config import CompareConfig


@pytest.mark.slow
def test_compare_one_at_a_time_writes_the_same(sums, tmp_path, monkeypatch):
    tokenizer = tokenizer_for(plain_problems())
    base, tuned = (
        save_folder(tmp_path / name, model, tokenizer)
        for name, model in (("base", blank(tokenizer, 0)), ("tuned", learnt(plain_problems(), tokenizer)))
    )

    def most_at_once(one_at_a_time: bool, out: Path) -> int:
        seen: list[int] = []
        every: WeakSet[Weights] = WeakSet()
        begin, made = Weights.here, Weights.__init__

        def init(self, *args, **options):
            made(self, *args, **options)
            every.add(self)

        def here(self):
            model = begin(self)
            parameters = [each for weights in every for each in weights.modules.parameters()]
            seen.append(sum(each.numel() for each in parameters))
            return model

        with monkeypatch.context() as patched:
            patched.setattr(Weights, "__init__", init)
            patched.setattr(Weights, "here", here)
            config = CompareConfig(
                samples=2, doses=(1.0,), random_directions=1, search_problems=8, vector_problems=16,
                splits=["test"], one_at_a_time=one_at_a_time,
            )  # fmt: skip
            compare(base, tuned, sums, config=config, out=out)
        return max(seen)

    both = most_at_once(False, tmp_path / "both")
    one = most_at_once(True, tmp_path / "one")
    assert 2 * one == both, "the base and the tuned; a random init takes the place of one of them"
    verdicts = [json.loads((tmp_path / name / "verdict.json").read_text()) for name in ("both", "one")]
    assert verdicts[0] == verdicts[1]
