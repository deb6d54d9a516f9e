"""What every kernel keeps to: the letters of shapes, and how a call that breaks them is refused.

| letter | counts |            | letter | counts |
|---|---|---|---|---|
| T | tokens (rows) of a step   | | E | hidden size |
| H | query heads               | | V | vocabulary |
| K | kv heads, G = H // K      | | S | tokens that a query attends to |
| D | head size                 | | N | slots of a KV pool |
"""

from __future__ import annotations


class KernelError(ValueError):
    """A kernel was called with shapes or types that it does not take: a fault of ours."""


def require(holds: bool, kernel: str, wanted: str) -> None:
    """Raise KernelError saying what `kernel` wanted, unless it holds."""
    if not holds:
        raise KernelError(f"{kernel}: wanted {wanted}")
