"""The GPU's norm, activation and QKV pass against float64; in the interpreter without a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

pytest.importorskip("triton")

from sglc.kernels import gated_silu_triton, qkv_rope_write, rms_norm_triton
from sglc.kernels.contract import KernelError
from sglc.kernels.rope import rope_table
from sglc.kernels.testing import ERROR_RATIO, error_ratio, poison

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
POISON = 7.0  # what a pool holds where nothing may be written


def draw(*shape: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype).to(DEVICE)


@pytest.fixture(autouse=True)
def poisoned_outputs() -> Iterator[None]:
    """New tensors are full of NaN (torch does that on request): what a kernel leaves out shows."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 64), (7, 48), (3, 576)], ids=str)
def test_rms_norm(shape, dtype) -> None:
    x, weight = draw(*shape, dtype=dtype, seed=1), draw(shape[1], dtype=dtype, seed=2)
    wide = x.double()
    exact = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5) * weight.double()
    y = rms_norm_triton.rms_norm(x, weight, 1e-5)
    assert error_ratio(y, exact) < ERROR_RATIO[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 64), (5, 33), (2, 1030)], ids=str)
def test_gated_silu(shape, dtype) -> None:
    T, inner = shape
    gate_up = draw(T, 2 * inner, dtype=dtype, seed=4)
    gate, up = gate_up.double().chunk(2, -1)
    exact = gate / (1 + (-gate).exp()) * up
    y = gated_silu_triton.gated_silu(gate_up)
    assert y.is_contiguous()
    assert error_ratio(y, exact) < ERROR_RATIO[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("heads", [(3, 1, 48), (9, 3, 16), (16, 2, 8)], ids=str)
@pytest.mark.parametrize("has_norm", [False, True])
def test_qkv_rope_write(heads, dtype, has_norm) -> None:
    H, K, D = heads
    T, N = 5, 12
    qkv = draw(T, (H + 2 * K) * D, dtype=dtype, seed=5)
    norms = [draw(D, dtype=dtype, seed=6 + i) if has_norm else None for i in range(2)]
    table = rope_table(tuple(0.8**i for i in range(D // 2)), 40, 1.0).to(DEVICE)
    positions = torch.tensor([0, 39, 7, 7, 20], device=DEVICE)
    slots = torch.tensor([3, -1, 0, 11, 5], device=DEVICE, dtype=torch.int32)
    pools = [torch.full((N, K, D), POISON, dtype=dtype, device=DEVICE) for _ in range(2)]
    exact = [pool.double() for pool in pools]
    wide = [None if norm is None else norm.double() for norm in norms]
    y = qkv_rope_write.qkv_rope_write(qkv, positions, slots, table, *pools, *norms, 1e-6)
    exact_y = qkv_rope_write.qkv_rope_write_ref(
        qkv.double(), positions, slots, table.double(), *exact, *wide, 1e-6
    )
    assert error_ratio(y, exact_y) < ERROR_RATIO[dtype]
    for pool, expected in zip(pools, exact, strict=True):
        assert error_ratio(pool, expected) < ERROR_RATIO[dtype]
        written = slots[slots >= 0].long()
        assert torch.equal(poison(pool, written, POISON), pool)  # nothing else was touched


def test_pools_stay_finite() -> None:
    qkv = torch.ones((3, 3 * 4), device=DEVICE)
    qkv[0], qkv[1] = torch.nan, torch.inf
    slots = torch.arange(3, device=DEVICE)
    k, v = torch.zeros((2, 3, 1, 4), device=DEVICE)
    table = rope_table((1.0, 0.5), 4, 1.0).to(DEVICE)
    qkv_rope_write.qkv_rope_write(qkv, slots, slots, table, k, v)
    assert k.isfinite().all() and v.isfinite().all()
    assert k[:2].abs().max() == 0
    assert v[0].abs().max() == 0 and v[1].min() > 1e38
    assert v[2].min() == 1


def test_wrong_shapes_are_refused() -> None:
    x = torch.ones((2, 8), device=DEVICE)
    with pytest.raises(KernelError, match="a weight of 8"):
        rms_norm_triton.rms_norm(x, torch.ones(4, device=DEVICE), 1e-5)
    with pytest.raises(KernelError, match="contiguous"):
        gated_silu_triton.gated_silu(x[:, ::2])
