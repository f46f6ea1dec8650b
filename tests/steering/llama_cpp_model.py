"""A tiny Llama in llama.cpp: its weights as a GGUF file, and what it says with a control vector.

llama.cpp comes with the package llama-cpp-python, which compiles it; `make test-all` installs that.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from transformers import PreTrainedModel

N_CTX = 64


def write_llama(model: PreTrainedModel, path: Path) -> Path:
    """The model's weights in float32, without a vocabulary: it reads token ids."""
    config: Any = model.config
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    weights = {name: each.detach().float().numpy() for name, each in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    writer.add_tensor("output.weight", weights["lm_head.weight"])
    for i in range(config.num_hidden_layers):
        for theirs, ours in (
            ("attn_norm", "input_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ):
            weight = weights[f"model.layers.{i}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                weight = _pairs_side_by_side(weight, heads if theirs == "attn_q" else groups)
            writer.add_tensor(f"blk.{i}.{theirs}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _pairs_side_by_side(weight: ndarray, heads: int) -> ndarray:
    """Rows of a projection so that rotary position turns neighbours, where Hugging Face turns halves."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


class LlamaCpp:
    """A model that llama.cpp has opened."""

    def __init__(self, library: Any, model: Any, context: Any) -> None:
        self._library, self._model, self._context = library, model, context

    def steer_by(self, path: Path) -> None:
        """Add a control vector at strength 1, as `--control-vector` does.

        What reads the file there (common_control_vector_load) belongs to llama.cpp's programs, not to its
        library: `direction.i` stands at place i - 1 of one buffer, layers left out are zeros, and the layers
        are all from 1 on.
        """
        n_layers = self._library.llama_model_n_layer(self._model)
        width = self._library.llama_model_n_embd(self._model)
        buffer = np.zeros((n_layers, width), np.float32)
        for tensor in gguf.GGUFReader(path).tensors:
            kind, layer = tensor.name.split(".")
            assert kind == "direction"
            assert int(layer) > 0
            assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
            buffer[int(layer) - 1] = tensor.data
        flat = buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        failed = self._library.llama_set_adapter_cvec(self._context, flat, buffer.size, width, 1, n_layers)
        assert not failed

    def logits(self, ids: Sequence[int]) -> Float[ndarray, "position d_vocab"]:
        """After each of these tokens."""
        library = self._library
        library.llama_memory_clear(library.llama_get_memory(self._context), True)
        batch = library.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        assert library.llama_decode(self._context, batch) == 0
        size = library.llama_vocab_n_tokens(library.llama_model_get_vocab(self._model))
        rows = [
            np.ctypeslib.as_array(library.llama_get_logits_ith(self._context, i), (size,)).copy()
            for i in range(len(ids))
        ]
        library.llama_batch_free(batch)
        return np.array(rows)

    def continued(self, ids: Sequence[int], tokens: int, end: int) -> list[int]:
        """The likeliest tokens after these, one after another, as far as the token that ends an output."""
        made = list(ids)
        for _ in range(tokens):
            token = int(self.logits(made)[-1].argmax())
            if token == end:
                break
            made.append(token)
        return made[len(ids) :]


@contextmanager
def opened(path: Path) -> Iterator[LlamaCpp]:
    """The model of a GGUF file, on one thread of the CPU."""
    import llama_cpp as library

    library.llama_backend_init()
    settings = library.llama_model_default_params()
    settings.n_gpu_layers = 0
    model = library.llama_model_load_from_file(str(path).encode(), settings)
    assert model, f"llama.cpp cannot read {path}"
    options = library.llama_context_default_params()
    options.n_ctx = options.n_batch = options.n_ubatch = N_CTX
    options.n_threads = options.n_threads_batch = 1
    options.type_k = options.type_v = (
        library.GGML_TYPE_F32
    )  # keys and values are rounded to float16 otherwise
    options.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = library.llama_init_from_model(model, options)
    assert context
    try:
        yield LlamaCpp(library, model, context)
    finally:
        library.llama_free(context)
        library.llama_model_free(model)


@torch.no_grad()
def logits_of(model: PreTrainedModel, ids: Sequence[int]) -> Float[ndarray, "position d_vocab"]:
    """After each of these tokens, by Hugging Face."""
    found: ndarray = model(torch.tensor([list(ids)])).logits[0].float().numpy()
    return found
