"""The forward pass over KV in a pool: fused on a GPU, the model's own elsewhere; or one that gives
a token the same bits in any batch, anywhere.

Law: nothing here depends on values, so on a GPU a pass may be captured in a graph.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sglc.runtime.engine.memory import KVPool
from sglc.runtime.models.transformer import Transformer

Attend = Callable[[int, Tensor], Tensor]
"""(layer, rotated q [T, H, D]) -> [T, H, D]; the rows' K and V are in the pool."""

Forward = Callable[[Tensor, Tensor, Tensor, Attend, Tensor | None], Tensor]
"""(tokens, positions, slots [T] int64, attend, logit rows [R] or None for all) -> logits [R, V]
fp32. The rows' K and V are at their slots of the pool from then on."""


def forward_over(model: Transformer, pool: KVPool, *, deterministic: bool = False) -> Forward:
    """The forward pass of `model` over `pool`, on the model's device."""
    if model.device.type != "cuda" and not deterministic:
        return lambda *arguments: _plain(model, pool, *arguments)
    # the fused pass needs Triton, which is not there on every machine
    from sglc.kernels import fixed_products, linear
    from sglc.runtime.models.fused_transformer import FusedTransformer

    products = fixed_products if deterministic else linear
    fused = FusedTransformer(model.config, model.parameters, products)

    def forward(
        tokens: Tensor, positions: Tensor, slots: Tensor, attend: Attend, logit_rows: Tensor | None
    ) -> Tensor:
        return fused.forward(tokens, positions, slots, pool.k, pool.v, attend, logit_rows)

    return forward


def _plain(
    model: Transformer,
    pool: KVPool,
    tokens: Tensor,
    positions: Tensor,
    slots: Tensor,
    attend: Attend,
    logit_rows: Tensor | None,
) -> Tensor:
    def write_and_attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        pool.write(layer, slots, k, v)
        return attend(layer, q.contiguous())

    every = torch.arange(len(tokens)) if logit_rows is None else logit_rows
    return model.forward(tokens, positions, write_and_attend, every)
