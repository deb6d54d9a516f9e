"""torch's own attentions, to compare with: its FlashAttention-2 and cuDNN's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

Launch = Callable[[], object]


def library_prefill(
    q: Tensor, k: Tensor, v: Tensor, n: int, length: int
) -> dict[str, list[Launch]]:
    """Attention of q [T, H, D] in `n` causal segments of `length` tokens, with nothing above them;
    k and v [T, K, D]."""
    D = q.shape[-1]
    ends = torch.arange(n + 1, device=q.device, dtype=torch.int32) * length

    def flash() -> object:
        return torch.ops.aten._flash_attention_forward(
            q, k, v, ends, ends, length, length, 0.0, True, False
        )

    def cudnn() -> object:
        batched = (x.view(n, length, -1, D).transpose(1, 2) for x in (q, k, v))
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return scaled_dot_product_attention(*batched, is_causal=True, enable_gqa=True)

    return {"flash": [flash], "cudnn": [cudnn]}


def library_decode(
    H: int, layers: Sequence[tuple[Tensor, Tensor]], batch: int, length: int
) -> dict[str, list[Launch]]:
    """One new token a row over contexts of `length` that lie together, as easy as it gets; one
    launch for each of `layers`, k and v [batch * length, K, D]. FlashAttention-2 cuts long contexts
    itself."""
    K, D = layers[0][0].shape[1:]
    q = torch.randn(batch, 1, H, D, device=layers[0][0].device, dtype=layers[0][0].dtype)

    def flash(k: Tensor, v: Tensor) -> object:
        k, v = (x.view(batch, length, K, D) for x in (k, v))
        return torch.ops.aten._flash_attention_forward(
            q, k, v, None, None, 1, length, 0.0, False, False
        )

    def cudnn(k: Tensor, v: Tensor) -> object:
        k, v = (x.view(batch, length, K, D).transpose(1, 2) for x in (k, v))
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return scaled_dot_product_attention(q.transpose(1, 2), k, v, enable_gqa=True)

    return {
        "flash": [lambda k=k, v=v: flash(k, v) for k, v in layers],
        "cudnn": [lambda k=k, v=v: cudnn(k, v) for k, v in layers],
    }
