"""The model of a run in the library that people know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.gguf_file import open_gguf
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import Layout, ModelFiles
from sglc.runtime.model.weights import gguf_stream

MODEL_TYPES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}


def load_transformers(
    files: ModelFiles, device: torch.device, dtype: torch.dtype, load_format: str = "auto"
) -> Any:
    """A `PreTrainedModel` for text generation. With `load_format` "dummy" its weights are drawn at
    random (others than sglc's: only times compare)."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if files.layout is Layout.GGUF:
        model = _from_gguf(files, load_format)
    elif load_format == "dummy":
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(files.path)))
    else:
        model = AutoModelForCausalLM.from_pretrained(str(files.path))
    return model.to(device=device, dtype=dtype).eval()


def left_padded(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask [B, longest], int64, as `generate` takes prompts of several lengths."""
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


def _from_gguf(files: ModelFiles, load_format: str) -> Any:
    """A GGUF file by our reader: the library's own takes half a minute for a small one. The scaling
    of rotations is left out, which changes no time."""
    from transformers import AutoModelForCausalLM

    config = load_config(files)
    model: Any = AutoModelForCausalLM.from_config(_hf_config(config))
    if load_format != "dummy":
        model.load_state_dict(dict(gguf_stream(open_gguf(files.path), config)), strict=False)
        model.tie_weights()
    return model


def _hf_config(config: ModelConfig) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(
        MODEL_TYPES[config.architecture],
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_size,
        max_position_embeddings=config.max_positions,
        rms_norm_eps=config.rms_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=config.ties_embeddings,
    )
