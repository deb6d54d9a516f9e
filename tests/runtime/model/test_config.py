"""Geometry out of configs: what is read, what is refused."""

import pytest

from sglc.runtime.model.config import ARCHITECTURES, config_from_gguf, config_from_hf
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.rope_scaling import Divisors, Linear, Llama3, Yarn

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}


def config(**changes):
    return config_from_hf({**LLAMA, **changes})


def test_defaults():
    read = config()
    assert (read.num_kv_heads, read.head_size, read.rope_theta) == (4, 16, 10000.0)
    assert not read.ties_embeddings
    assert read.context_len == 512
    assert read.kv_elements_per_token == 2 * 2 * 4 * 16
    assert config(head_dim=32).head_size == 32


def test_theta_of_old_and_new_configs():
    assert config(rope_theta=5e5).rope_theta == 5e5
    new = {"rope_type": "default", "rope_theta": 7e4}
    assert config(rope_parameters=new).rope_theta == 7e4


def test_what_each_architecture_adds():
    added = {}
    for name in ARCHITECTURES:
        read = config(architectures=[name])
        added[name] = (read.has_qkv_bias, read.has_output_bias, read.has_qk_norm)
    assert added == {
        "LlamaForCausalLM": (False, False, False),
        "MistralForCausalLM": (False, False, False),
        "Qwen2ForCausalLM": (True, False, False),
        "Qwen3ForCausalLM": (False, False, True),
    }


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 100}, 100),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": None}, None),
        ({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 100}, None),
        (
            {
                "architectures": ["Qwen2ForCausalLM"],
                "sliding_window": 100,
                "use_sliding_window": True,
                "max_window_layers": 1,
            },
            100,
        ),
        (
            {
                "architectures": ["Qwen3ForCausalLM"],
                "sliding_window": 100,
                "layer_types": ["full_attention", "sliding_attention"],
            },
            100,
        ),
    ],
)
def test_sliding_window_bounds_the_context(changes, window):
    read = config(**changes)
    assert read.sliding_window == window
    assert read.context_len == (512 if window is None else window)


def test_rope_scalings():
    assert config(rope_scaling={"type": "linear", "factor": 2}).rope_scaling == Linear(2.0)
    llama3 = {
        "rope_type": "llama3",
        "factor": 8,
        "low_freq_factor": 1,
        "high_freq_factor": 4,
        "original_max_position_embeddings": 128,
    }
    assert config(rope_scaling=llama3).rope_scaling == Llama3(8.0, 1.0, 4.0, 128)
    stretched = config(rope_scaling={"type": "yarn", "factor": 4})
    assert isinstance(stretched.rope_scaling, Yarn)
    assert stretched.rope_scaling.original_context_len == 512
    assert stretched.context_len == 2048


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"architectures": ["FalconForCausalLM"]},
            "the architecture `FalconForCausalLM` is not supported; known: LlamaForCausalLM, "
            "MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM",
        ),
        ({"hidden_act": "gelu"}, "the activation `gelu` is not supported; known: silu"),
        ({"hidden_size": None}, "the model's config has no usable `hidden_size` (found None)"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3 kv heads evenly"),
        ({"head_dim": 7}, "an odd head size (7) cannot be rotated"),
        ({"partial_rotary_factor": 0.5}, "a partial rotary factor (0.5) is not supported"),
        (
            {"rope_scaling": {"type": "longrope", "factor": 2}},
            "rope scaling `longrope` is not supported; known: linear, llama3, yarn",
        ),
        (
            {"rope_scaling": {"type": "llama3", "factor": 2}},
            "the config's llama3 rope scaling is not complete: 'low_freq_factor'",
        ),
        (
            {"quantization_config": {"quant_method": "awq"}},
            "weights quantized with `awq` are not supported; "
            "use the model's plain safetensors or a GGUF file",
        ),
    ],
)
def test_refusals(changes, sentence):
    with pytest.raises(ModelError) as error:
        config(**changes)
    assert str(error.value) == sentence


GGUF = {
    "general.architecture": "qwen3",
    "qwen3.embedding_length": 64,
    "qwen3.block_count": 2,
    "qwen3.attention.head_count": 4,
    "qwen3.attention.head_count_kv": 2,
    "qwen3.attention.key_length": 32,
    "qwen3.feed_forward_length": 128,
    "qwen3.context_length": 512,
    "qwen3.rope.freq_base": 1e6,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}


def test_gguf():
    read = config_from_gguf(GGUF, has_output=False, rope_factors=None)
    assert read.architecture == "Qwen3ForCausalLM"
    assert (read.head_size, read.num_kv_heads, read.vocab_size) == (32, 2, 3)
    assert read.ties_embeddings
    assert read.has_qk_norm
    factors = tuple(float(i) for i in range(1, 17))
    divided = config_from_gguf(GGUF, has_output=True, rope_factors=factors)
    assert divided.rope_scaling == Divisors(factors)
    assert not divided.ties_embeddings
    yarn = {"qwen3.rope.scaling.type": "yarn", "qwen3.rope.scaling.factor": 4.0}
    read = config_from_gguf({**GGUF, **yarn}, has_output=True, rope_factors=None)
    assert isinstance(read.rope_scaling, Yarn)


def test_gguf_of_another_architecture():
    with pytest.raises(ModelError, match="`bloom` is not supported; known: llama, qwen2, qwen3"):
        config_from_gguf({"general.architecture": "bloom"}, has_output=True, rope_factors=None)


def test_equal_configs_have_equal_hashes():
    assert config().hash() == config(rope_theta=10000.0).hash()
    assert config().hash() != config(rms_norm_eps=1e-5).hash()
