"""Gens that write a part of a value: forced texts and types take turns, in one role."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.ir import ops
from sglc.ir.checks.roles import role
from sglc.ir.checks.shown import shown
from sglc.ir.ops import Op


def pieces_are_whole(op: Op) -> Iterator[str]:
    if not isinstance(op, ops.Gen) or op.piece is None:
        return
    after = op.piece.after
    turns = [isinstance(part, str) for part in after]
    if len(after) % 2 == 0 or turns != [place % 2 == 0 for place in range(len(after))]:
        yield f"texts and types do not take turns in {shown(op)}"
    if "" in after:
        yield f"nothing stands between two pieces in {shown(op)}"
    if role(op.piece.base) != role(op.context):
        yield f"a value begins in another role in {shown(op)}"
    if "n" in dict(op.options):
        yield f"a piece has several samples in {shown(op)}"
