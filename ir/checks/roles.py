"""The role that stands open is part of a context's type; each op turns one state into another."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.ir import ops
from sglc.ir.checks.shown import shown
from sglc.ir.ops import Op, Value
from sglc.ir.value_type import BranchesType, ContextType


def role(value: Value) -> str | None:
    assert isinstance(value.type, ContextType | BranchesType)
    return value.type.role


def appends_keep_the_role(op: Op) -> Iterator[str]:
    if isinstance(op, ops.Append | ops.Control | ops.Gen | ops.Select | ops.Join):
        if role(op.result) != role(op.context):
            yield f"the role changes in {shown(op)}"
    elif isinstance(op, ops.Call) and role(op.context) != role(op.source):
        yield f"the role changes in {shown(op)}"


def roles_open_and_close(op: Op) -> Iterator[str]:
    if isinstance(op, ops.Start) and role(op.result) is not None:
        yield f"a role stands open in {shown(op)}"
    if isinstance(op, ops.Open):
        if role(op.context) is not None:
            yield f"a role stands open before {shown(op)}"
        if role(op.result) != op.role:
            yield f"the role is not that of the result in {shown(op)}"
    if isinstance(op, ops.Close):
        if role(op.context) is None:
            yield f"no role stands open before {shown(op)}"
        if role(op.result) is not None:
            yield f"a role stands open after {shown(op)}"


def joins_match(op: Op) -> Iterator[str]:
    """Branches end in the role state that they began in."""
    match op:
        case ops.Join(base=base, branches=branches) if role(branches) != role(base):
            yield f"branches and base differ in their role in {shown(op)}"
        case ops.Fork(context=Value() as start, contexts=Value() as ends):
            if role(ends) != role(start):
                yield f"branches end in another role than they began in {shown(op)}"
