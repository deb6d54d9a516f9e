"""The product for many rows on Hopper against fp64: odd sizes, and nothing written outside."""

from __future__ import annotations

import pytest
import torch
from devices import DEVICE, needs_gpu

from sglc.kernels import large_linear
from sglc.kernels.contract import KernelError
from sglc.kernels.large_linear import LEAST_ROWS, Result
from sglc.kernels.testing import ERROR_RATIO, error_ratio

SIZES = [(1024, 64, 256), (1300, 128, 272), (1025, 72, 16), (2049, 520, 1008), (3000, 4096, 512)]


def expected(result: Result, x: torch.Tensor, weight: torch.Tensor, y: torch.Tensor):
    sums = x.double() @ weight.double().t()
    if result == Result.ADD:
        return y.double() + sums
    if result == Result.GATE:
        gate, up = sums.chunk(2, 1)
        return torch.nn.functional.silu(gate) * up
    return sums


@needs_gpu
@pytest.mark.parametrize("result", list(Result))
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_fp64(size, result) -> None:
    M, K, N = size
    torch.manual_seed(M)
    rows = 2 * N if result == Result.GATE else N
    x = torch.randn(M, K, device=DEVICE, dtype=torch.bfloat16)
    weight = (torch.randn(rows, K, device=DEVICE) * K**-0.5).bfloat16()
    room = torch.full((M + 1, N), float("nan"), device=DEVICE, dtype=torch.bfloat16)
    y = room[:M]
    if result == Result.ADD:
        y.normal_()
    wanted = expected(result, x, weight, y)
    large_linear.run(result, x, weight, y)
    assert error_ratio(y, wanted) < ERROR_RATIO[torch.bfloat16] / 3
    assert bool(room[M].isnan().all()), "a row behind the last was written"


@needs_gpu
def test_the_same_bits_each_time() -> None:
    x = torch.randn(4096, 2048, device=DEVICE, dtype=torch.bfloat16)
    weight = torch.randn(1024, 2048, device=DEVICE, dtype=torch.bfloat16)
    first, again = (x.new_empty(4096, 512) for _ in range(2))
    for y in (first, again):
        large_linear.run(Result.GATE, x, weight, y)
    assert torch.equal(first, again)


def test_what_it_does_not_take() -> None:
    x = torch.zeros(LEAST_ROWS, 64, dtype=torch.bfloat16)
    weight = torch.zeros(32, 64, dtype=torch.bfloat16)
    assert not large_linear.takes(x, weight)  # not on a GPU
    with pytest.raises(KernelError, match="Hopper"):
        large_linear.run(Result.STORE, x, weight, x.new_empty(LEAST_ROWS, 32))
