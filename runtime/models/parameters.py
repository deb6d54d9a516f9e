"""The tensors of a Llama-family model as the forward pass wants them, fused where that pays.

`slots` names every part by its Hugging Face tensor name, so a loader copies checkpoint tensors into
place one at a time and never holds two models. Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sglc.runtime.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class LayerParameters:
    """One layer. Weights are [out, in]; biases and norms [out]; absent parts are None."""

    attention_norm: Tensor  # [E]
    qkv: Tensor  # [(H+2K)*D, E]
    qkv_bias: Tensor | None
    q_norm: Tensor | None  # [D]
    k_norm: Tensor | None  # [D]
    output: Tensor  # [E, H*D]
    output_bias: Tensor | None
    mlp_norm: Tensor  # [E]
    gate_up: Tensor  # [2*I, E]
    gate_up_bias: Tensor | None
    down: Tensor  # [E, I]
    down_bias: Tensor | None


@dataclass(frozen=True, slots=True)
class Parameters:
    """A whole model. `head` is `embedding` itself when they are tied."""

    embedding: Tensor  # [V, E]
    layers: tuple[LayerParameters, ...]
    norm: Tensor  # [E]
    head: Tensor  # [V, E]

    @property
    def num_bytes(self) -> int:
        tensors = {id(tensor): tensor for _, tensor in named_tensors(self)}
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def empty_parameters(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Parameters:
    """Uninitialised tensors of the config's shapes."""
    E, inner = config.hidden_size, config.intermediate_size
    q_size = config.num_heads * config.head_size
    qkv_size = q_size + 2 * config.num_kv_heads * config.head_size

    def new(*shape: int, when: bool = True) -> Tensor | None:
        return torch.empty(shape, device=device, dtype=dtype) if when else None

    def need(*shape: int) -> Tensor:
        return torch.empty(shape, device=device, dtype=dtype)

    layers = tuple(
        LayerParameters(
            attention_norm=need(E),
            qkv=need(qkv_size, E),
            qkv_bias=new(qkv_size, when=config.has_qkv_bias),
            q_norm=new(config.head_size, when=config.has_qk_norm),
            k_norm=new(config.head_size, when=config.has_qk_norm),
            output=need(E, q_size),
            output_bias=new(E, when=config.has_output_bias),
            mlp_norm=need(E),
            gate_up=need(2 * inner, E),
            gate_up_bias=new(2 * inner, when=config.has_mlp_bias),
            down=need(E, inner),
            down_bias=new(E, when=config.has_mlp_bias),
        )
        for _ in range(config.num_layers)
    )
    embedding = need(config.vocab_size, E)
    head = embedding if config.ties_embeddings else need(config.vocab_size, E)
    return Parameters(embedding, layers, need(E), head)


def named_tensors(parameters: Parameters) -> list[tuple[str, Tensor]]:
    """Every tensor with a name of ours, norms ending in `norm`; tied ones once."""
    named = [("embedding", parameters.embedding), ("norm", parameters.norm)]
    if parameters.head is not parameters.embedding:
        named.append(("head", parameters.head))
    for index, layer in enumerate(parameters.layers):
        for name in LayerParameters.__slots__:
            tensor = getattr(layer, name)
            if tensor is not None:
                named.append((f"layers.{index}.{name}", tensor))
    return named


def slots(parameters: Parameters, config: ModelConfig) -> dict[str, Tensor]:
    """Where each checkpoint tensor goes, by its Hugging Face name: views of `parameters`."""
    places = {
        "model.embed_tokens.weight": parameters.embedding,
        "model.norm.weight": parameters.norm,
    }
    if not config.ties_embeddings:
        places["lm_head.weight"] = parameters.head
    q_end = config.num_heads * config.head_size
    k_end = q_end + config.num_kv_heads * config.head_size
    parts_of_qkv = {"q": slice(0, q_end), "k": slice(q_end, k_end), "v": slice(k_end, None)}
    for index, layer in enumerate(parameters.layers):
        attention, mlp = f"model.layers.{index}.self_attn", f"model.layers.{index}.mlp"
        parts: list[tuple[str, Tensor | None]] = [
            (f"model.layers.{index}.input_layernorm.weight", layer.attention_norm),
            (f"model.layers.{index}.post_attention_layernorm.weight", layer.mlp_norm),
            (f"{attention}.o_proj.weight", layer.output),
            (f"{attention}.o_proj.bias", layer.output_bias),
            (f"{attention}.q_norm.weight", layer.q_norm),
            (f"{attention}.k_norm.weight", layer.k_norm),
            (f"{mlp}.down_proj.weight", layer.down),
            (f"{mlp}.down_proj.bias", layer.down_bias),
        ]
        for kind, qkv, gate_up in (
            ("weight", layer.qkv, layer.gate_up),
            ("bias", layer.qkv_bias, layer.gate_up_bias),
        ):
            if qkv is not None:
                for part, rows in parts_of_qkv.items():
                    parts.append((f"{attention}.{part}_proj.{kind}", qkv[rows]))
            if gate_up is not None:
                gate, up = gate_up.chunk(2)
                parts.append((f"{mlp}.gate_proj.{kind}", gate))
                parts.append((f"{mlp}.up_proj.{kind}", up))
        places.update((name, tensor) for name, tensor in parts if tensor is not None)
    return places


def is_redundant(name: str, places: dict[str, Tensor]) -> bool:
    """True for checkpoint tensors that need no place: a tied head, tables that are computed."""
    return name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and name not in places)
