"""What every kernel keeps to: the letters of shapes, and how a call that breaks them is refused.

| letter | counts |            | letter | counts |
|---|---|---|---|---|
| T | tokens (rows) of a step   | | E | hidden size |
| H | query heads               | | V | vocabulary |
| K | kv heads, G = H // K      | | S | tokens that a query attends to |
| D | head size                 | | N | slots of a KV pool |
"""

from __future__ import annotations

from torch import Tensor

HEAD_SIZES = (16, 32, 64, 128, 256)  # whose products the GPU's attention kernels have tiles for


class KernelError(ValueError):
    """A kernel was called with shapes or types that it does not take: a fault of ours."""


def require(holds: bool, kernel: str, wanted: str) -> None:
    """Raise KernelError saying what `kernel` wanted, unless it holds."""
    if not holds:
        raise KernelError(f"{kernel}: wanted {wanted}")


def require_attention(
    kernel: str, q: Tensor, k_pool: Tensor, v_pool: Tensor, most_heads: int
) -> None:
    """Raise KernelError unless a GPU's attention kernel takes q [., H, D] and pools [N, K, D], with
    at most `most_heads` query heads a kv head."""
    _, H, D = q.shape
    _, K, _ = k_pool.shape
    require(H % K == 0, kernel, f"query heads a multiple of {K} kv heads, got {H}")
    heads = H // K
    require(heads <= most_heads, kernel, f"at most {most_heads} query heads a kv head")
    require(D in HEAD_SIZES, kernel, f"head size 16 to 256, got {D}")
    is_contiguous = q.is_contiguous() and k_pool.is_contiguous() and v_pool.is_contiguous()
    require(is_contiguous, kernel, "contiguous q and pools")
