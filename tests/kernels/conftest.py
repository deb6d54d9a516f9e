"""One thread for every kernel's test; `devices.py`, which stands beside them, made importable."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def ordered_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of Triton's interpreter a row at a time: in those of the CPU's library the order of
    a row's sums depends on its place."""
    product = np.matmul

    def matmul(a: np.ndarray, b: np.ndarray, dtype: Any = None) -> np.ndarray:
        a, b = a.astype(dtype), b.astype(dtype)
        return np.concatenate([product(row, b) for row in np.split(a, len(a))])

    if not torch.cuda.is_available():
        monkeypatch.setattr(np, "matmul", matmul)
