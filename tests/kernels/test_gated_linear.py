"""The gated product for many rows on Hopper against fp64: odd sizes, nothing written beside it."""

from __future__ import annotations

import pytest
import torch
from devices import DEVICE, needs_gpu

from sglc.kernels import gated_linear_hopper
from sglc.kernels.contract import KernelError
from sglc.kernels.gated_linear_hopper import LEAST_ROWS
from sglc.kernels.gated_silu import gated_silu_ref
from sglc.kernels.testing import ERROR_RATIO, error_ratio

SIZES = [(1024, 64, 256), (1300, 128, 272), (1025, 72, 16), (2049, 520, 1008), (3000, 4096, 512)]


@needs_gpu
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_fp64(size) -> None:
    M, K, N = size
    torch.manual_seed(M)
    x = torch.randn(M, K, device=DEVICE, dtype=torch.bfloat16)
    weight = (torch.randn(2 * N, K, device=DEVICE) * K**-0.5).bfloat16()
    room = torch.full((M + 1, N), float("nan"), device=DEVICE, dtype=torch.bfloat16)
    y = gated_linear_hopper.run(x, weight, out=room[:M])
    exact = gated_silu_ref(x.double() @ weight.double().t())
    assert error_ratio(y, exact) < ERROR_RATIO[torch.bfloat16] / 3
    assert bool(room[M].isnan().all()), "a row behind the last was written"


@needs_gpu
def test_the_same_bits_each_time() -> None:
    x = torch.randn(4096, 2048, device=DEVICE, dtype=torch.bfloat16)
    weight = torch.randn(1024, 2048, device=DEVICE, dtype=torch.bfloat16)
    assert torch.equal(gated_linear_hopper.run(x, weight), gated_linear_hopper.run(x, weight))


def test_what_it_does_not_take() -> None:
    x = torch.zeros(LEAST_ROWS, 64, dtype=torch.bfloat16)
    weight = torch.zeros(32, 64, dtype=torch.bfloat16)
    assert not gated_linear_hopper.takes(x, weight)  # not on a GPU
    with pytest.raises(KernelError, match="Hopper"):
        gated_linear_hopper.run(x, weight)
