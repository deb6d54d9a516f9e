"""The forward pass of transformer.py for GPUs: few kernels, and nothing that waits for the device.

K and V go to their slots inside the pass, so attention is called with queries alone. Shapes decide
which kernels run, values do not: a call can be captured into a CUDA graph and replayed with other
tokens, positions and slots. The first call of a shape builds kernels, so it is made before.
Which products run is the caller's choice: linear.py's are the fastest, fixed_products.py's give a
token the same bits in any batch.
Knows nothing of batches or sampling, nor of who sees whom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sglc.kernels import linear
from sglc.kernels.qkv_rope_write import Place
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.models.parameters import Parameters
from sglc.runtime.models.positions import position_table

AttendQueries = Callable[[int, Tensor], Tensor]
"""(layer, q [T, H, D]) -> [T, H, D] contiguous; q is rotated and not scaled, K and V of all T
tokens are in the pools."""


class Products(Protocol):
    """The products of a layer with what stands around them, as `kernels/linear.py` has them."""

    def rotated_qkv(
        self,
        x: Tensor,
        norm: Tensor,
        eps: float,
        weight: Tensor,
        bias: Tensor | None,
        place: Place,
        q_norm: Tensor | None,
        k_norm: Tensor | None,
    ) -> Tensor: ...

    def gated_linear(
        self, x: Tensor, norm: Tensor, eps: float, weight: Tensor, bias: Tensor | None = None
    ) -> Tensor: ...

    def add_linear_(
        self, y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> None: ...

    def logits(self, x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor: ...


class FusedTransformer:
    """A model ready to run on one GPU in one type."""

    def __init__(
        self, config: ModelConfig, parameters: Parameters, products: Products = linear
    ) -> None:
        self._products = products
        self.config = config
        self.parameters = parameters
        self.device = parameters.embedding.device
        self.dtype = parameters.embedding.dtype
        self._rope = position_table(config).to(self.device)  # [2, context_len, D/2]

    @torch.inference_mode()
    def forward(
        self,
        token_ids: Tensor,
        positions: Tensor,
        slots: Tensor,
        k_pools: Sequence[Tensor],
        v_pools: Sequence[Tensor],
        attend: AttendQueries,
        logit_rows: Tensor | None,
    ) -> Tensor:
        """Logits [R, V] fp32 of the tokens at `logit_rows` [R], of all where that is None.

        `token_ids`, `positions` and `slots` are [T] int32 or int64, positions below
        `config.context_len`; a token whose slot is negative leaves no KV. Pools [N, K, D] a layer.
        """
        weights, config, products = self.parameters, self.config, self._products
        eps = config.rms_eps
        x = F.embedding(token_ids, weights.embedding)  # [T, E]
        last = len(weights.layers) - 1
        for index, layer in enumerate(weights.layers):
            q = products.rotated_qkv(
                x,
                layer.attention_norm,
                eps,
                layer.qkv,
                layer.qkv_bias,
                Place(positions, slots, self._rope, k_pools[index], v_pools[index]),
                layer.q_norm,
                layer.k_norm,
            )
            attended = attend(index, q).view(x.shape[0], -1)
            if index == last and logit_rows is not None:
                # past the last attention only the rows that are asked for matter
                x, attended = x[logit_rows], attended[logit_rows]
            products.add_linear_(x, attended, layer.output, layer.output_bias)
            gated = products.gated_linear(x, layer.mlp_norm, eps, layer.gate_up, layer.gate_up_bias)
            products.add_linear_(x, gated, layer.down, layer.down_bias)
        return products.logits(x, weights.norm, eps, weights.head)
