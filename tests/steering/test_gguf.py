"""Control vectors of repeng and llama.cpp: read and written by gguf's own reader and writer."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.steering.made_vectors import fields_of_vectors
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.activations.errors import UserError
from undertext.steering import (
    Gate,
    Setting,
    SteeringVector,
    export_gguf,
    import_gguf,
    random_directions,
    sweep,
    unit,
)


def as_repeng(
    path: Path, directions: dict[int, Any], hint: str = "llama", arch: str = "controlvector"
) -> Path:
    """What repeng's `ControlVector.export_gguf` writes."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_string(f"{arch}.model_hint", "llama")
    writer.add_uint32(f"{arch}.layer_count", len(directions))
    for layer, direction in directions.items():
        writer.add_tensor(f"direction.{layer}", np.asarray(direction))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def some(layers: list[int], width: int = 6, dtype: str = "float32") -> dict[int, Any]:
    rng = np.random.default_rng(0)
    return {layer: rng.normal(size=width).astype(dtype) for layer in layers}


def vector(layers: int = 4, width: int = 6, **fields: Any) -> SteeringVector:
    directions = 3 * random_directions(layers, width, seed=0)
    return SteeringVector("thinks", directions, torch.arange(1.0, layers + 1), "made up", **fields)


def test_a_file_is_what_llama_cpp_and_repeng_read(tmp_path):
    written = export_gguf(vector(), tmp_path / "v.gguf", model_type="llama", dose=0.5)
    assert written == (1, 2, 3)
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    texts = {
        key: bytes(reader.fields[key].parts[-1]).decode()
        for key in ("general.architecture", "controlvector.model_hint", "general.name")
    }
    assert texts == {
        "general.architecture": "controlvector",
        "controlvector.model_hint": "llama",
        "general.name": "thinks",
    }
    assert reader.fields["controlvector.layer_count"].contents() == 3
    assert [tensor.name for tensor in reader.tensors] == ["direction.1", "direction.2", "direction.3"]
    for layer, tensor in zip(written, reader.tensors, strict=True):
        # llama.cpp takes one-dimensional float32 only.
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        assert tensor.shape.tolist() == [6]
        wanted = 0.5 * (layer + 1) * unit(vector().directions)[layer]
        np.testing.assert_allclose(tensor.data, wanted.numpy(), rtol=1e-6)
    assert [each.name for each in tmp_path.iterdir()] == ["v.gguf"]


def test_repengs_file_is_read_with_its_own_lengths_as_doses(tmp_path):
    directions = some([3, 2, 1])
    found = import_gguf(as_repeng(tmp_path / "happy.gguf", directions), n_layers=4, d_model=6)
    assert found.name == "happy"
    assert found.made == "read from the control vector happy.gguf, for llama"
    assert found.trained is None
    assert found.layers == (1, 2, 3)
    assert not found.directions[0].any()
    for layer, direction in directions.items():
        np.testing.assert_array_equal(found.directions[layer].numpy(), direction)
    torch.testing.assert_close(found.doses, torch.tensor([0.0, 1.0, 1.0, 1.0]))


def test_layers_may_be_left_out_and_repeng_may_write_layer_0(tmp_path):
    found = import_gguf(as_repeng(tmp_path / "v.gguf", some([0, 2])), n_layers=4, d_model=6)
    assert found.layers == (0, 2)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_are_read(tmp_path, dtype):
    directions = some([1], dtype=dtype)
    found = import_gguf(as_repeng(tmp_path / "v.gguf", directions), n_layers=2, d_model=6)
    np.testing.assert_array_equal(found.directions[1].numpy(), directions[1].astype("float32"))


def test_norms_of_the_model_can_be_the_unit_of_dose(tmp_path):
    norms = torch.tensor([1.0, 8.0])
    path = as_repeng(tmp_path / "v.gguf", {1: np.array([0, 4], "float32")})
    found = import_gguf(path, n_layers=2, d_model=2, norms=norms)
    assert torch.equal(found.norms, norms)
    assert found.doses.tolist() == [0.0, 0.5]


@given(fields_of_vectors(site="resid_post", centre=None), st.floats(0.1, 3))
def test_an_exported_vector_comes_back_as_what_dose_1_adds(given_fields, dose):
    made = SteeringVector(**given_fields)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "v.gguf"
        layers, width = made.directions.shape
        if not [layer for layer in made.layers if layer]:
            with pytest.raises(UserError, match="no direction at a layer from 1 on"):
                export_gguf(made, path, model_type="llama", dose=dose)
            return
        written = export_gguf(made, path, model_type="llama", dose=dose)
        assert written == tuple(layer for layer in made.layers if layer)
        found = import_gguf(path, n_layers=layers, d_model=width)
        assert (found.name, found.made, found.trained, found.sources) == (
            made.name,
            made.made,
            made.trained,
            made.sources,
        )
        assert found.layers == written
        for layer in written:
            wanted = dose * made.norms[layer] * unit(made.directions)[layer]
            torch.testing.assert_close(found.directions[layer], wanted)
        again = Path(folder) / "again.gguf"
        export_gguf(found, again, model_type="llama")
        torch.testing.assert_close(
            import_gguf(again, n_layers=layers, d_model=width).directions, found.directions
        )


@torch.no_grad()
def test_it_acts_as_repeng_and_llama_cpp_add_it_after_the_block_of_that_number(tmp_path):
    tokenizer = word_tokenizer()
    model: Any = tiny_model("llama", len(tokenizer), d_model=32)
    checkpoint = Checkpoint.load(model, tokenizer=tokenizer)
    path = as_repeng(tmp_path / "v.gguf", {i: 3 * d for i, d in some([1, 2], 32).items()})
    prompts = ["a = 3 ; find a :", "so", "b = 4"]
    found = import_gguf(path, n_layers=3, d_model=32)
    settings = [Setting(found.name, (1, 2), dose, Gate("all")) for dose in (0.0, 2.0)]
    plain, steered = sweep(
        checkpoint, prompts, settings, [found], lambda i, text, cut: (False, False), max_new_tokens=5
    ).texts
    assert plain != steered
    handles = [
        model.model.layers[layer].register_forward_hook(
            lambda module, args, output, layer=layer: output + 2.0 * found.directions[layer]
        )
        for layer in (1, 2)
    ]
    for prompt, text in zip(prompts, steered, strict=True):
        ids = torch.tensor(checkpoint.encode([prompt]))
        out = model.generate(ids, max_new_tokens=5, do_sample=False, pad_token_id=0)
        assert checkpoint.decode(out[0, ids.shape[1] :].tolist()) == text
    for handle in handles:
        handle.remove()


def test_files_that_do_not_fit_are_refused(tmp_path):
    def read(path: Path) -> SteeringVector:
        return import_gguf(path, n_layers=4, d_model=6)

    path = tmp_path / "v.gguf"
    with pytest.raises(UserError, match="expected the architecture 'controlvector', got 'llama'"):
        read(as_repeng(path, some([1]), arch="llama"))
    with pytest.raises(UserError, match=r"expected direction.2 \[6\], got \[8\]"):
        read(as_repeng(path, {**some([1]), **some([2], 8)}))
    with pytest.raises(UserError, match=r"holds direction\.4, but the model's layers are 0 to 3"):
        read(as_repeng(path, some([1, 4])))
    with pytest.raises(UserError, match=r"holds no tensors direction\.LAYER; its tensors: none"):
        read(as_repeng(path, {}))
    with pytest.raises(UserError, match="NaN or infinity"):
        read(as_repeng(path, {1: np.full(6, np.nan, "float32")}))
    with pytest.raises(UserError, match=r"direction\.1 is I32, expected F32, F16 or F64"):
        read(as_repeng(path, {1: np.ones(6, "int32")}))
    with pytest.raises(UserError, match=r"expected direction\.LAYER, got a tensor 'direction\.one'"):
        read(as_repeng(path, {"one": np.ones(6, "float32")}))  # type: ignore[dict-item]


def test_broken_files_are_refused(tmp_path):
    path = as_repeng(tmp_path / "v.gguf", some([1, 2]))
    content = path.read_bytes()
    for size in (0, 3, 20, 60, len(content) - 40):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="cannot be read as GGUF"):
            import_gguf(path, n_layers=4, d_model=6)
    path.write_bytes(b"no such thing" * 9)
    with pytest.raises(UserError, match="cannot be read as GGUF: GGUF magic invalid"):
        import_gguf(path, n_layers=4, d_model=6)
    with pytest.raises(UserError, match="cannot be read as GGUF"):
        import_gguf(tmp_path / "none.gguf", n_layers=4, d_model=6)


def test_what_llama_cpp_could_not_read_is_not_written(tmp_path):
    path = tmp_path / "v.gguf"
    with pytest.raises(UserError, match="no place for a direction at layer 0"):
        export_gguf(vector(), path, model_type="llama", layers=[0, 1])
    two = torch.ones(3, 6)
    two[2] = 0
    half = SteeringVector("v", two, torch.ones(3), "", absent=frozenset({2}))
    with pytest.raises(UserError, match="has no direction at layer 2; layers with one: 0, 1"):
        export_gguf(half, path, model_type="llama", layers=[2])
    with pytest.raises(UserError, match="act at resid_post, vector 'thinks' is of mlp_out"):
        export_gguf(vector(site="mlp_out"), path, model_type="llama")
    with pytest.raises(UserError, match="cannot write"):
        export_gguf(vector(), tmp_path / "none" / "v.gguf", model_type="llama")
    assert not path.exists()


def test_without_the_package_gguf_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    vector = SteeringVector("v", torch.ones(2, 4), torch.ones(2), "made up")
    with pytest.raises(UserError, match=r"pip install -e '\.\[gguf\]'"):
        export_gguf(vector, tmp_path / "v.gguf", model_type="llama")
    with pytest.raises(UserError, match=r"pip install -e '\.\[gguf\]'"):
        import_gguf(tmp_path / "v.gguf", n_layers=2, d_model=4)
    assert not list(tmp_path.iterdir())
