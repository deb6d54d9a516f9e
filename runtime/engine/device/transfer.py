"""Arrays to the device and back without waiting.

On a GPU both ways go through page-locked memory: a copy from ordinary memory may wait for all that
was launched before. torch keeps such memory and takes it again only when the copy is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def send(array: NDArray[Any], device: torch.device) -> Tensor:
    """A copy of `array` on `device`, there for whatever is launched later."""
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor.clone()
    return tensor.pin_memory().to(device, non_blocking=True)


class Fetch:
    """A tensor on its way to the host. `array` waits for it."""

    def __init__(self, tensor: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if tensor.device.type == "cpu":
            self._host = tensor.clone()
            return
        self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._host.copy_(tensor, non_blocking=True)
        self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._event.record()

    @property
    def is_there(self) -> bool:
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def array(self) -> NDArray[Any]:
        if self._event is not None:
            self._event.synchronize()
        return np.asarray(self._host.numpy())
