"""Checkpoint tensors as a stream of (Hugging Face name, tensor), whatever file they come from.

One tensor is in memory at a time. Knows nothing of where they go (`load.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.gguf_file import GgufFile

if TYPE_CHECKING:
    from torch import Tensor

# part of a GGUF block -> part of a Hugging Face layer
_GGUF_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GGUF_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def safetensors_stream(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """All tensors of the folder's safetensors files, shard by shard. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    for path in _shards(folder):
        try:
            with safe_open(path, framework="pt") as shard:
                for name in shard.keys():  # noqa: SIM118  (not a mapping)
                    yield name, shard.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from error


def _shards(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            names = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (ValueError, KeyError, OSError) as error:
            raise ModelError(f"{index} is not a safetensors index") from error
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            raise ModelError(f"{folder} lacks {', '.join(missing)}, which its index names")
        return [folder / name for name in names]
    whole = folder / "model.safetensors"
    if whole.exists():
        return [whole]
    if any(folder.glob("pytorch_model*.bin")):
        raise ModelError(f"{folder} holds pickled weights only; convert them to safetensors")
    raise ModelError(f"{folder} has no model.safetensors and no model.safetensors.index.json")


def gguf_stream(file: GgufFile, config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a GGUF file as float32, with the rows of q and k in Hugging Face's order."""
    import torch

    # llama files interleave the two halves of each head; qwen files do not
    interleaves = file.metadata["general.architecture"] == "llama"
    for name in file.tensors:
        if name == "rope_freqs.weight":
            continue
        values = torch.from_numpy(file.read(name))
        target = _hf_name(name)
        if interleaves and ".attn_q." in name:
            values = _halves_apart(values, config.num_heads)
        elif interleaves and ".attn_k." in name:
            values = _halves_apart(values, config.num_kv_heads)
        yield target, values


def _hf_name(name: str) -> str:
    if name in _GGUF_NAMES:
        return _GGUF_NAMES[name]
    block, _, rest = name.removeprefix("blk.").partition(".")
    part, _, kind = rest.partition(".")
    return f"model.layers.{block}.{_GGUF_PARTS.get(part, part)}.{kind}"


def _halves_apart(values: Tensor, num_heads: int) -> Tensor:
    """Rows (h, i, half) -> (h, half, i): from interleaved pairs to half-split pairs."""
    paired = values.reshape(num_heads, values.shape[0] // num_heads // 2, 2, -1)
    return paired.transpose(1, 2).reshape(values.shape)
