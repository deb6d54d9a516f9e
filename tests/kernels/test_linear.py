"""The products of a layer against float64; those of few rows in bf16 on a GPU alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("triton")

from sglc.kernels import linear, small_linear
from sglc.kernels.testing import ERROR_RATIO, error_ratio

HAS_GPU = torch.cuda.is_available()
DEVICE = "cuda" if HAS_GPU else "cpu"
EPS = 1e-5
gpu = [pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device")]
CASES = [
    pytest.param(torch.float32, 5, 48, 64),
    *[
        pytest.param(torch.bfloat16, M, N, K, marks=gpu)
        for N, K in ((48, 64), (1000, 576), (576, 1536))  # of 16 rows and not, few steps of K
        for M in (1, 3, 8, 9, 16, 17)
    ],
]


def draw(*shape: int, dtype: torch.dtype, seed: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * scale).to(dtype).to(DEVICE)


@pytest.mark.parametrize(("dtype", "M", "N", "K"), CASES)
def test_products(dtype: torch.dtype, M: int, N: int, K: int) -> None:
    x, norm = draw(M, K, dtype=dtype, seed=1), draw(K, dtype=dtype, seed=2)
    weight = draw(2 * N, K, dtype=dtype, seed=3, scale=0.05)
    bias, y = draw(2 * N, dtype=dtype, seed=4), draw(M, N, dtype=dtype, seed=5)
    assert small_linear.takes(x, weight) == (dtype == torch.bfloat16 and M <= 16)
    wide = x.double()
    h = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPS) * norm.double()
    both = h @ weight.double().T + bias.double()
    gate, up = both.chunk(2, -1)
    added = y.double() + wide @ weight.double()[:N].T + bias.double()[:N]
    linear.add_linear_(y, x, weight[:N], bias[:N])
    logits = linear.logits(x, norm, EPS, weight)
    assert logits.dtype == torch.float32
    for found, exact in (
        (y, added),
        (linear.normed_linear(x, norm, EPS, weight, bias), both),
        (linear.gated_linear(x, norm, EPS, weight, bias), F.silu(gate) * up),
        (logits, h @ weight.double().T),
    ):
        assert error_ratio(found, exact) < ERROR_RATIO[dtype] / 2
