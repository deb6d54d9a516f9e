"""Loading: GGUF files, damaged files, dummy weights, devices and types."""

import json

import gguf
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.load import load_config, load_model
from sglc.runtime.model.locate import locate
from sglc.runtime.models.device import resolve_device, resolve_dtype
from sglc.runtime.models.naive_attend import naive_attend
from sglc.runtime.models.parameters import named_tensors

SIZES = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
    "rope_theta": 10000.0,
}
GGUF_PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def reference(family, **changes):
    torch.manual_seed(3)
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **changes})
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.dim() == 1:
                tensor.copy_(1 + 0.2 * torch.randn(tensor.shape))
            elif "embed" not in name:
                tensor.mul_(5)
    return model


def gguf_name(name):
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in whole:
        return whole[name]
    _, _, layer, *part, kind = name.split(".")
    return f"blk.{layer}.{GGUF_PARTS['.'.join(part)]}.{kind}"


def interleaved(values, num_heads):
    """How GGUF files of the llama family order the rows of q and k."""
    shape = values.shape
    return (
        values.reshape(num_heads, 2, shape[0] // num_heads // 2, -1).swapaxes(1, 2).reshape(shape)
    )


def write_gguf(path, model, family, quantization=None):
    config = model.config
    writer = gguf.GGUFWriter(path, family)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    if family == "qwen3":
        writer.add_key_length(config.head_dim)
    if config.rope_parameters["rope_type"] == "llama3":
        frequencies = model.model.rotary_emb.inv_freq.numpy()
        plain = 10000.0 ** (-np.arange(0, 16, 2) / 16)
        writer.add_tensor("rope_freqs.weight", (plain / frequencies).astype(np.float32))
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.numpy()
        if family == "llama" and ".q_proj." in name:
            values = interleaved(values, config.num_attention_heads)
        if family == "llama" and ".k_proj." in name:
            values = interleaved(values, config.num_key_value_heads)
        if quantization is not None and values.ndim == 2:
            packed = gguf.quants.quantize(values, quantization)
            writer.add_tensor(gguf_name(name), packed, raw_dtype=quantization)
        else:
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def largest_difference(path, theirs):
    ours = load_model(locate(str(path)), device="cpu", dtype="float32")
    ids, every = torch.arange(30), torch.arange(30)
    with torch.no_grad():
        expected = theirs(ids[None]).logits[0]
    actual = ours.forward(ids, every, naive_attend, every)
    return float((actual - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("family", "name", "changes"),
    [
        ("Llama", "llama", {}),
        ("Llama", "llama", {"tie_word_embeddings": True}),
        ("Llama", "llama", {"rope_parameters": LLAMA3}),
        ("Qwen2", "qwen2", {}),
        ("Qwen3", "qwen3", {"head_dim": 16}),
    ],
    ids=["llama", "llama-tied", "llama3", "qwen2", "qwen3"],
)
def test_gguf_logits(family, name, changes, tmp_path):
    theirs = reference(family, **changes)
    write_gguf(tmp_path / "model.gguf", theirs, name)
    assert largest_difference(tmp_path / "model.gguf", theirs) < 1e-5


def test_quantized_gguf(tmp_path):
    theirs = reference("Llama")
    write_gguf(tmp_path / "model.gguf", theirs, "llama", gguf.GGMLQuantizationType.Q8_0)
    assert 1e-5 < largest_difference(tmp_path / "model.gguf", theirs) < 0.05


def test_damaged_gguf(tmp_path):
    whole = tmp_path / "whole.gguf"
    write_gguf(whole, reference("Llama"), "llama")
    content = whole.read_bytes()
    damaged = tmp_path / "model.gguf"
    for cut in (0, 3, 10, 40, 200, 700, 1500):
        damaged.write_bytes(content[:cut])
        with pytest.raises(ModelError, match=r"model\.gguf"):
            load_config(locate(str(damaged)))
    damaged.write_bytes(content[:-100])
    with pytest.raises(ModelError, match=r"tensor `.*` cannot be read"):
        load_model(locate(str(damaged)), device="cpu", dtype="float32")
    damaged.write_bytes(b"PK" + content[2:])
    with pytest.raises(ModelError, match="is not a GGUF file"):
        load_config(locate(str(damaged)))
    damaged.write_bytes(content[:4] + (9).to_bytes(4, "little") + content[8:])
    with pytest.raises(ModelError, match="GGUF version 9"):
        load_config(locate(str(damaged)))


@pytest.fixture
def folder(tmp_path):
    reference("Llama").save_pretrained(tmp_path)
    return tmp_path


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)


def load(folder, **options):
    return load_model(locate(str(folder)), **{"device": "cpu", "dtype": "float32", **options})


def test_tables_that_are_computed_are_skipped(folder):
    rewrite(folder, lambda all: all.update({"model.layers.0.rotary_emb.inv_freq": torch.ones(3)}))
    load(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda all: all.pop("model.layers.1.mlp.up_proj.weight"),
            r"lacks 1 tensors, model\.layers\.1\.mlp\.up_proj\.weight among them",
        ),
        (
            lambda all: all.update({"model.norm.weight": torch.ones(7)}),
            r"`model\.norm\.weight` is \[7\], but the config asks for \[64\]",
        ),
        (
            lambda all: all.update({"model.layers.0.mlp.extra.weight": torch.ones(7)}),
            r"holds a tensor `model\.layers\.0\.mlp\.extra\.weight` that this architecture does",
        ),
    ],
)
def test_checkpoints_that_do_not_fit(folder, change, sentence):
    rewrite(folder, change)
    with pytest.raises(ModelError, match=sentence):
        load(folder)


def test_missing_and_damaged_files(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match="cannot be read"):
        load(folder)
    path.unlink()
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        load(folder)
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="holds pickled weights only"):
        load(folder)
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks model-00001-of-00002\.safetensors"):
        load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        load(folder)


def test_dummy_weights_need_no_checkpoint(folder):
    (folder / "model.safetensors").unlink()
    one, same = (load(folder, load_format="dummy") for _ in range(2))
    first, second = (layer.down for layer in one.parameters.layers[:2])
    assert torch.equal(second, same.parameters.layers[1].down)
    assert not torch.equal(first, second)
    for name, tensor in named_tensors(one.parameters):
        if name.endswith("norm"):
            assert (tensor == 1).all()
        else:
            assert 0.015 < tensor.std() < 0.025
    ids = torch.arange(5)
    assert one.forward(ids, ids, naive_attend, ids).isfinite().all()
    with pytest.raises(ModelError, match="no load format `fast`; known: auto, dummy"):
        load(folder, load_format="fast")


def test_weights_that_do_not_fit_are_refused(folder, monkeypatch):
    monkeypatch.setattr("sglc.runtime.models.device.free_bytes", lambda device: 10_000)
    with pytest.raises(ModelError, match=r"weights take .* GB as float32, but 0\.0 GB .* are free"):
        load(folder)


def test_num_bytes_counts_tied_weights_once(tmp_path):
    reference("Llama", tie_word_embeddings=True).save_pretrained(tmp_path)
    parameters = load(tmp_path).parameters
    assert parameters.head is parameters.embedding
    theirs = sum(tensor.numel() for tensor in reference("Llama").parameters()) - 64 * 64
    assert parameters.num_bytes == 4 * theirs


def test_devices_and_types():
    cpu = torch.device("cpu")
    assert resolve_device("cpu") == cpu
    assert resolve_device(cpu) == cpu
    assert resolve_dtype("float16", cpu) is torch.float16
    assert resolve_dtype(torch.bfloat16, cpu) is torch.bfloat16
    assert resolve_dtype("auto", cpu) in (torch.float32, torch.bfloat16)
    with pytest.raises(ModelError, match="no dtype `int4`; known: auto, float32"):
        resolve_dtype("int4", cpu)
    with pytest.raises(ModelError, match="no device `tpux`"):
        resolve_device("tpux")
    if not torch.cuda.is_available():
        assert resolve_device("auto") == cpu
        with pytest.raises(ModelError, match="no CUDA device is usable"):
            resolve_device("cuda")
