"""Where Triton kernels are tested, and in which types: on a GPU, or in the interpreter."""

from collections.abc import Callable

import pytest
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(DEVICE.type == "cpu", reason="no CUDA device")]


def needs_gpu(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that a GPU only can run."""
    for mark in NEEDS_GPU:
        test = mark(test)
    return test


# the interpreter takes the bits of bf16 for integers in products
DTYPES = [
    torch.float32,
    torch.float16,
    pytest.param(torch.bfloat16, marks=NEEDS_GPU),
]
