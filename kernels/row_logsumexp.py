"""The logarithm of the sum of exponentials of each row: y = log(sum(exp(x))).

Shapes: x [R, V] contiguous, y [R].
Types:  fp32.
Law: a row of y follows from its row of x alone, to the last bit: on a GPU a program has a whole
row, and how it goes over it follows from V. (The library's sums are cut among programs where there
are few rows.)
Moves:  R*V*4 bytes, once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sglc.kernels.contract import require


def row_logsumexp_ref(x: Tensor) -> Tensor:
    """The meaning of the op, a row at a time."""
    return torch.stack([row.logsumexp(0) for row in x]) if len(x) else x.new_empty(0)


def row_logsumexp(x: Tensor) -> Tensor:
    """A new tensor [R]."""
    require(x.dtype == torch.float32, "row_logsumexp", f"fp32, got {x.dtype}")
    require(x.is_contiguous(), "row_logsumexp", "contiguous rows")
    if not x.is_cuda:
        return row_logsumexp_ref(x)
    # Triton is not there on every machine
    from sglc.kernels.row_logsumexp_triton import row_logsumexp_triton

    return row_logsumexp_triton(x)
