"""How passes say what they did: `Module.notes`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sglc.ir import ops
from sglc.ir.host.literal import is_literal
from sglc.ir.module import Module
from sglc.ir.note import PassNote, summed
from sglc.ir.ops import Op
from sglc.ir.span import Span

_CONTEXTS = (ops.Start, ops.Append, ops.Control, ops.Open, ops.Close, ops.Join, ops.Capture)


def word(op: Op) -> str:
    """What an op is called in notes."""
    if isinstance(op, ops.Let):
        return "value"
    if isinstance(op, ops.For | ops.While):
        return "loop"
    return "context" if isinstance(op, _CONTEXTS) else type(op).__name__.lower()


def is_constant(op: Op) -> bool:
    """Whether the op is a constant, of which nobody wants to hear."""
    return isinstance(op, ops.Let) and is_literal(op.expr)


def note(by: str, kind: str, op: Op, target: Span | None = None) -> PassNote:
    """Pass `by` did `kind` to the op."""
    return PassNote(by, kind, word(op), 1, () if op.span is None else (op.span,), target)


def with_notes(module: Module, notes: Iterable[PassNote]) -> Module:
    """The module with these notes behind its own, equal ones summed."""
    return replace(module, notes=(*module.notes, *summed(notes)))
