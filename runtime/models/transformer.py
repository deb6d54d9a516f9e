"""The forward pass of the Llama family (Llama, Mistral, Qwen2, Qwen3, SmolLM2).

One flat list of tokens goes through; which of them see which is what the `attend` callback decides.
Law: a token's row depends on the other rows through `attend` only (its last bits may depend on
their number, by which matrix products choose their blocking).
Knows nothing of KV storage, batches or sampling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sglc.kernels.gated_silu import gated_silu_
from sglc.kernels.rms_norm import rms_norm
from sglc.kernels.rope import rope
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.models.parameters import LayerParameters, Parameters
from sglc.runtime.models.positions import position_table

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q [T, H, D], k [T, K, D], v [T, K, D]) -> [T, H, D]; q and k rotated, q not scaled."""


class Transformer:
    """A model ready to run on one device in one type."""

    def __init__(self, config: ModelConfig, parameters: Parameters) -> None:
        self.config = config
        self.parameters = parameters
        self.device = parameters.embedding.device
        self.dtype = parameters.embedding.dtype
        self._cos, self._sin = position_table(config).to(self.device)  # [context_len, D/2] each

    @torch.inference_mode()
    def forward(
        self, token_ids: Tensor, positions: Tensor, attend: Attend, logit_rows: Tensor
    ) -> Tensor:
        """Logits [R, V] fp32 of the tokens at `logit_rows` [R].

        `token_ids` and `positions` are [T] int64 with positions below `config.context_len`;
        `attend` is called once a layer, in order, with every token's q, k and v.
        """
        weights = self.parameters
        x = F.embedding(token_ids, weights.embedding)  # [T, E]
        cos, sin = self._cos[positions], self._sin[positions]  # [T, D/2]
        last = len(weights.layers) - 1
        for index, layer in enumerate(weights.layers):
            attended = self._attention(index, layer, x, cos, sin, attend)
            if index == last:
                # past the last attention only the rows that are asked for matter
                x, attended = x[logit_rows], attended[logit_rows]
            _add_product(x, attended, layer.output, layer.output_bias)
            self._mlp(layer, x)
        x = rms_norm(x, weights.norm, self.config.rms_eps)
        return F.linear(x, weights.head).float()

    def _attention(
        self,
        index: int,
        layer: LayerParameters,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        attend: Attend,
    ) -> Tensor:
        config = self.config
        H, K, D = config.num_heads, config.num_kv_heads, config.head_size
        h = rms_norm(x, layer.attention_norm, config.rms_eps)
        heads = F.linear(h, layer.qkv, layer.qkv_bias).view(-1, H + 2 * K, D)
        if layer.q_norm is not None and layer.k_norm is not None:
            q = rope(rms_norm(heads[:, :H], layer.q_norm, config.rms_eps), cos, sin)
            k = rope(rms_norm(heads[:, H : H + K], layer.k_norm, config.rms_eps), cos, sin)
        else:
            rotated = rope(heads[:, : H + K], cos, sin)
            q, k = rotated[:, :H], rotated[:, H:]
        return attend(index, q, k, heads[:, H + K :]).reshape(-1, H * D)

    def _mlp(self, layer: LayerParameters, x: Tensor) -> None:
        h = rms_norm(x, layer.mlp_norm, self.config.rms_eps)
        gated = gated_silu_(F.linear(h, layer.gate_up, layer.gate_up_bias))
        _add_product(x, gated, layer.down, layer.down_bias)


def _add_product(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """x += y @ weight.T + bias, in place and in one pass over x."""
    x.addmm_(y, weight.t())
    if bias is not None:
        x.add_(bias)
