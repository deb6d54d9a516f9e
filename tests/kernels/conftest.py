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
    """Products of Triton's interpreter that add up in one order, as a GPU's do: those of the CPU's
    library depend on a row's place among the others."""

    def matmul(a: np.ndarray, b: np.ndarray, dtype: Any = None) -> np.ndarray:
        y = np.zeros((a.shape[0], b.shape[1]), dtype=dtype)
        for k in range(a.shape[1]):
            y += a[:, k : k + 1].astype(dtype) * b[k].astype(dtype)
        return y

    if not torch.cuda.is_available():
        monkeypatch.setattr(np, "matmul", matmul)
