"""How a message about ill-formed IR shows an op: its first line of text."""

from __future__ import annotations

from sglc.ir.ops import Op
from sglc.ir.textual.printer import Printer
from sglc.ir.textual.types import RecordNames


def shown(op: Op) -> str:
    line = next(Printer(RecordNames()).op(op))
    return f"`{line}`"
