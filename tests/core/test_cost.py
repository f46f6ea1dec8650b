"""The cost model against sums written token by token, and against the parameters of a real model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from undertext.activations import UserError
from undertext.core.cost import H100, MODELS, Device, ModelSize, cost_of, reading_flops, writing_flops
from undertext.core.plan import Work

SMALL = ModelSize(n_layers=3, d_model=32, d_mlp=64, n_heads=4, n_kv_heads=2, d_head=8, d_vocab=100)
SLOW = Device("made up", flops=1e9, bandwidth=1e8, memory=1e6, utilisation=0.5, fetching=0.5)


def token_flops(model: ModelSize, attended: int) -> int:
    """Of one token, product by product; a product of [a, b] with [b] is 2 a b FLOPs."""
    wide, narrow = model.n_heads * model.d_head, model.n_kv_heads * model.d_head
    products = [
        (wide, model.d_model),
        (narrow, model.d_model),
        (narrow, model.d_model),
        (model.d_model, wide),
    ]
    products += [(model.d_mlp, model.d_model)] * 2 + [(model.d_model, model.d_mlp)]
    layer = sum(2 * a * b for a, b in products)
    layer += model.n_heads * (2 * attended * model.d_head + 2 * model.d_head * attended)
    return model.n_layers * layer + 2 * model.d_vocab * model.d_model


@given(st.integers(1, 60))
def test_reading_is_the_sum_over_its_tokens(length):
    assert reading_flops(SMALL, float(length), float(length)) == sum(
        token_flops(SMALL, t) for t in range(1, length + 1)
    )


@given(st.integers(1, 40), st.integers(1, 40))
def test_writing_is_the_sum_over_its_tokens(after, length):
    by_token = sum(token_flops(SMALL, after + t) for t in range(1, length + 1))
    assert writing_flops(SMALL, float(length), float(after), float(length)) == by_token


@pytest.mark.parametrize("tied", [False, True])
def test_parameters_are_those_of_a_model_but_for_its_norms(tied):
    config = LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, tie_word_embeddings=tied,
    )  # fmt: skip
    named = dict(LlamaForCausalLM(config).named_parameters())
    counted = sum(each.numel() for name, each in named.items() if "norm" not in name)
    assert SMALL._replace(tied=tied).parameters == counted


def test_the_models_have_the_parameters_they_are_named_by():
    billions = {name: round(model.parameters / 1e9, 1) for name, model in MODELS.items()}
    assert billions == {"1.5B": 1.5, "7B": 7.6, "70B": 70.6}


def test_a_job_s_time_is_by_hand():
    works = [Work("read", rows=10, read=200), Work("written", rows=4, read=40, written=80, longest=12)]
    cost = cost_of(works, SMALL, SLOW, rows=2, held=1, bytes_each=4)
    reading = reading_flops(SMALL, 200.0, 20.0) + reading_flops(SMALL, 40.0, 10.0)
    writing = writing_flops(SMALL, 80.0, 10.0, 20.0)
    assert cost.flops == reading + writing
    assert cost.reading_s == pytest.approx(reading / 5e8)
    # Two rows at once: 40 passes, each of which fetches the weights, and 20 tokens a row on average.
    fetched = 4 * SMALL.met + 2 * SMALL.cache_a_token(4) * 20
    assert cost.writing_s == pytest.approx(max(40 * fetched / 5e7, writing / 5e8))
    late = cost_of(works, SMALL, SLOW._replace(launch=0.5), rows=2, held=1, bytes_each=4)
    assert late.writing_s == pytest.approx(40 * SMALL.n_layers * 0.5)  # kernels' launches take longest
    cache = 2 * (12 + 20) * SMALL.cache_a_token(4)
    assert cost.memory == 4 * SMALL.parameters + cache + 2 * (2 * 64 * 4 + 4 * 100)
    assert cost.device_hours == pytest.approx((cost.reading_s + cost.writing_s) / 3600)


def test_shorter_outputs_and_more_rows_cost_less_and_a_large_model_takes_cards():
    works = [Work("written", rows=512, read=512 * 100, written=512 * 200, longest=100, steered=True)]
    of = {share: cost_of(works, MODELS["7B"], H100, rows=64, written=share) for share in (0.0, 0.25, 1.0)}
    assert of[0.0].writing_s == 0 < of[0.25].writing_s < of[1.0].writing_s
    assert cost_of(works, MODELS["7B"], H100, rows=256).writing_s < of[1.0].writing_s
    steered = cost_of(works, MODELS["7B"], H100, rows=64, steered=2.0)
    assert steered.writing_s == pytest.approx(2 * of[1.0].writing_s)
    assert (of[1.0].devices, cost_of(works, MODELS["70B"], H100, rows=64).devices) == (1, 4)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"held": 0}, {"written": 1.5}, {"steered": 0.5}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(UserError, match="expected 1 row or more"):
        cost_of([], SMALL, SLOW, **{"rows": 1, **wrong})
