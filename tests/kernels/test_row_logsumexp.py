"""Row by row log-sum-exp against float64, and the same bits in any batch; through Triton's
interpreter where there is no GPU."""

from __future__ import annotations

import pytest
import torch
from devices import DEVICE, NEEDS_GPU

from sglc.kernels.contract import KernelError
from sglc.kernels.row_logsumexp import row_logsumexp, row_logsumexp_ref
from sglc.kernels.row_logsumexp_triton import row_logsumexp_triton


def draw(R: int, V: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(V)
    return (10 * torch.randn(R, V, generator=generator)).to(DEVICE)


@pytest.mark.parametrize(("R", "V"), [(0, 5), (1, 1), (3, 97), (2, 9001)])
@pytest.mark.parametrize("run", [row_logsumexp_triton, row_logsumexp_ref])
def test_equals_float64(run, R: int, V: int) -> None:
    x = draw(R, V)
    assert torch.allclose(run(x).double(), x.double().logsumexp(-1), rtol=1e-6, atol=1e-6)


def test_masked_logits() -> None:
    x = draw(3, 9000)
    x[0, :8000] = x[1, 50:] = x[2, 4096:8192] = -torch.inf
    found = row_logsumexp_triton(x)
    assert torch.allclose(found.double(), x.double().logsumexp(-1), rtol=1e-6)


@pytest.mark.parametrize("V", [97, pytest.param(49152, marks=NEEDS_GPU)])
def test_a_row_is_the_same_bits_in_any_batch(V: int) -> None:
    x = draw(300, V)
    expected = row_logsumexp(x)
    for first, count in ((0, 1), (7, 2), (10, 290)):
        found = row_logsumexp(x[first : first + count].clone())
        assert torch.equal(found, expected[first : first + count])


def test_refuses_other_types() -> None:
    with pytest.raises(KernelError, match="fp32"):
        row_logsumexp(torch.zeros(1, 4, dtype=torch.float16))
