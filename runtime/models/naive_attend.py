"""Attention over one sequence with nothing cached: what KV storage is tested against."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def naive_attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention among the T tokens of one sequence, in order; scale 1/sqrt(D).

    q [T, H, D], k and v [T, K, D], result [T, H, D]; query head h reads kv head h // (H // K).
    """
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # [1, heads, T, D]
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return y[0].transpose(0, 1)
