"""The geometry of a model: one frozen record, from a Hugging Face config or from GGUF metadata.

Law: two models with equal records run the same forward pass on tensors of the same shapes; what a
config asks for and the forward pass does not do is refused here, not ignored.
Knows nothing of torch, tokens or files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.rope_scaling import Divisors, Linear, RopeScaling, Yarn, read_rope_scaling

ARCHITECTURES = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)

# GGUF's general.architecture -> ours (Mistral and SmolLM2 files say llama)
_GGUF_ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes: hidden E, heads H, kv heads K, head size D, vocabulary V; `max_positions` in tokens.

    `sliding_window` is set when some layer attends to only that many last tokens.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    intermediate_size: int
    rms_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    max_positions: int
    sliding_window: int | None
    ties_embeddings: bool
    has_qkv_bias: bool
    has_output_bias: bool
    has_mlp_bias: bool
    has_qk_norm: bool

    @property
    def context_len(self) -> int:
        """The most tokens of one context. A sliding window bounds it: within the window, attention
        to the last tokens and attention to all tokens are the same."""
        longest = self.max_positions
        if isinstance(self.rope_scaling, Yarn):
            stretched = self.rope_scaling.original_context_len * self.rope_scaling.factor
            longest = max(longest, int(stretched))
        return longest if self.sliding_window is None else min(longest, self.sliding_window)

    @property
    def kv_elements_per_token(self) -> int:
        """Numbers that one token adds to the KV memory, over all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size

    def hash(self) -> str:
        """sha256 of all fields, in hex."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def config_from_hf(fields: Mapping[str, Any]) -> ModelConfig:
    """From the parsed config.json of a Hugging Face folder. Raises ModelError."""
    architecture = _known((fields.get("architectures") or [fields.get("model_type", "none")])[0])
    _refuse_what_is_not_done(fields)
    is_qwen = architecture in ("Qwen2ForCausalLM", "Qwen3ForCausalLM")
    num_heads = _size(fields, "num_attention_heads")
    hidden_size = _size(fields, "hidden_size")
    max_positions = int(fields.get("max_position_embeddings") or 2048)
    # transformers 5 keeps theta and scaling together, earlier versions apart
    rope = fields.get("rope_parameters") or fields.get("rope_scaling")
    theta = (rope or {}).get("rope_theta", fields.get("rope_theta"))
    attention_bias = bool(fields.get("attention_bias", False))
    return _checked(
        ModelConfig(
            architecture=architecture,
            vocab_size=_size(fields, "vocab_size"),
            hidden_size=hidden_size,
            num_layers=_size(fields, "num_hidden_layers"),
            num_heads=num_heads,
            num_kv_heads=int(fields.get("num_key_value_heads") or num_heads),
            head_size=int(fields.get("head_dim") or hidden_size // num_heads),
            intermediate_size=_size(fields, "intermediate_size"),
            rms_eps=float(fields.get("rms_norm_eps", 1e-6)),
            rope_theta=float(theta or 10000.0),
            rope_scaling=read_rope_scaling(rope, max_positions),
            max_positions=max_positions,
            sliding_window=_sliding_window(fields, is_qwen),
            ties_embeddings=bool(fields.get("tie_word_embeddings", False)),
            has_qkv_bias=attention_bias or architecture == "Qwen2ForCausalLM",
            has_output_bias=attention_bias,
            has_mlp_bias=bool(fields.get("mlp_bias", False)),
            has_qk_norm=architecture == "Qwen3ForCausalLM",
        )
    )


def _known(architecture: str) -> str:
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"the architecture `{architecture}` is not supported; known: {', '.join(ARCHITECTURES)}"
        )
    return architecture


def _refuse_what_is_not_done(fields: Mapping[str, Any]) -> None:
    activation = fields.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        raise ModelError(f"the activation `{activation}` is not supported; known: silu")
    if fields.get("quantization_config"):
        method = fields["quantization_config"].get("quant_method", "unknown")
        raise ModelError(
            f"weights quantized with `{method}` are not supported; "
            "use the model's plain safetensors or a GGUF file"
        )
    rope = fields.get("rope_parameters") or {}
    partial = rope.get("partial_rotary_factor", fields.get("partial_rotary_factor", 1.0))
    if partial not in (None, 1, 1.0):
        raise ModelError(f"a partial rotary factor ({partial}) is not supported")


def _sliding_window(fields: Mapping[str, Any], is_qwen: bool) -> int | None:
    window = fields.get("sliding_window")
    if is_qwen:
        layer_types = fields.get("layer_types")
        if layer_types is None:
            first = fields.get("max_window_layers", 28)
            slides = bool(fields.get("use_sliding_window")) and first < fields["num_hidden_layers"]
        else:
            slides = "sliding_attention" in layer_types
        window = window if slides else None
    return None if window is None else int(window)


def _size(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or value <= 0:
        raise ModelError(f"the model's config has no usable `{name}` (found {value!r})")
    return value


def config_from_gguf(
    metadata: Mapping[str, Any], *, has_output: bool, rope_factors: tuple[float, ...] | None
) -> ModelConfig:
    """From the key-value part of a GGUF file.

    `has_output` says whether the file has a tensor `output.weight` (else the embedding is tied);
    `rope_factors` are the numbers of its tensor `rope_freqs.weight`. Raises ModelError.
    """
    family = str(metadata.get("general.architecture", "none"))
    if family not in _GGUF_ARCHITECTURES:
        raise ModelError(
            f"the GGUF architecture `{family}` is not supported; "
            f"known: {', '.join(_GGUF_ARCHITECTURES)}"
        )
    fields = {
        key.removeprefix(f"{family}."): value
        for key, value in metadata.items()
        if key.startswith(f"{family}.")
    }
    if fields.get("expert_count"):
        raise ModelError("mixtures of experts are not supported")
    architecture = _GGUF_ARCHITECTURES[family]
    num_heads = _size(fields, "attention.head_count")
    hidden_size = _size(fields, "embedding_length")
    head_size = int(fields.get("attention.key_length") or hidden_size // num_heads)
    if fields.get("rope.dimension_count", head_size) != head_size:
        raise ModelError("a partial rotary factor is not supported")
    max_positions = _size(fields, "context_length")
    vocab_size = fields.get("vocab_size") or len(metadata.get("tokenizer.ggml.tokens", ()))
    scaling = _gguf_scaling(fields, max_positions)
    if rope_factors is not None:
        scaling = Divisors(rope_factors)
    return _checked(
        ModelConfig(
            architecture=architecture,
            vocab_size=int(vocab_size),
            hidden_size=hidden_size,
            num_layers=_size(fields, "block_count"),
            num_heads=num_heads,
            num_kv_heads=int(fields.get("attention.head_count_kv") or num_heads),
            head_size=head_size,
            intermediate_size=_size(fields, "feed_forward_length"),
            rms_eps=float(fields.get("attention.layer_norm_rms_epsilon", 1e-6)),
            rope_theta=float(fields.get("rope.freq_base", 10000.0)),
            rope_scaling=scaling,
            max_positions=max_positions,
            sliding_window=fields.get("attention.sliding_window") or None,
            ties_embeddings=not has_output,
            has_qkv_bias=architecture == "Qwen2ForCausalLM",
            has_output_bias=False,
            has_mlp_bias=False,
            has_qk_norm=architecture == "Qwen3ForCausalLM",
        )
    )


def _gguf_scaling(fields: Mapping[str, Any], max_positions: int) -> RopeScaling | None:
    kind = fields.get("rope.scaling.type", "none")
    factor = fields.get("rope.scaling.factor", fields.get("rope.scale_linear"))
    if kind == "none" and factor in (None, 0, 1):
        return None
    if kind in ("none", "linear"):
        return Linear(float(factor or 1))
    if kind == "yarn":
        original = fields.get("rope.scaling.original_context_length", max_positions)
        return read_rope_scaling(
            {"type": "yarn", "factor": factor, "original_max_position_embeddings": original},
            max_positions,
        )
    raise ModelError(f"rope scaling `{kind}` is not supported; known: linear, yarn")


def _checked(config: ModelConfig) -> ModelConfig:
    if config.num_heads % config.num_kv_heads:
        raise ModelError(
            f"{config.num_heads} heads cannot share {config.num_kv_heads} kv heads evenly"
        )
    if config.head_size % 2:
        raise ModelError(f"an odd head size ({config.head_size}) cannot be rotated")
    return config
