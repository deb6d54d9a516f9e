"""Where Triton kernels are tested, and in which types: on a GPU, or in the interpreter."""

import pytest
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(DEVICE.type == "cpu", reason="no CUDA device")]
# the interpreter takes the bits of bf16 for integers in products
DTYPES = [
    torch.float32,
    torch.float16,
    pytest.param(torch.bfloat16, marks=NEEDS_GPU),
]
