"""What `for` and `fork` go through: any iterable value as a list, and several targets at once."""

from __future__ import annotations

from sglc.compiler import syntax
from sglc.compiler.lower.frame import Frame
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.span import Span
from sglc.ir.types import JSON, STR, BranchType, GroupType, ListType, StrType, TupleType, Type
from sglc.ir.value_type import ValueType

Targets = tuple[syntax.Identifier, ...]


def as_list(frame: Frame, value: ops.Value, span: Span) -> ops.Value:
    """The list of what going through `value` yields: characters of a str, keys of a dict."""
    if isinstance(value.type, ListType | TupleType | GroupType):
        return value
    clause = host.Clause(("item",), host.Operand(0), (), span)
    listed = host.Comprehension(host.Local("item"), (clause,))
    return frame.let(listed, (value,), ListType(item_type(value.type)), span)


def item_type(items: ValueType) -> Type:
    """The type of an item of what `as_list` takes or gives."""
    match items:
        case ListType(item=item):
            return item
        case GroupType(fields=fields):
            return BranchType(fields)
        case TupleType(items=(first, *rest)) if all(t == first for t in rest):
            return first
        case StrType():
            return STR
    return JSON


def unpack(frame: Frame, targets: Targets, item: ops.Value, span: Span) -> dict[str, ops.Value]:
    """`targets = item`: the value of each name. A wrong number of values fails the row."""
    names = tuple(target.text for target in targets)
    if len(names) == 1:
        return {names[0]: item}
    types: tuple[Type, ...] = (item_type(item.type),) * len(names)
    if isinstance(item.type, TupleType) and len(item.type.items) == len(names):
        types = item.type.items
    else:
        # `[[a, b] for a, b in [item]][0]` counts the values
        one = host.Clause(names, host.ListOf((host.Operand(0),)), (), span)
        listed = host.Comprehension(host.ListOf(tuple(map(host.Local, names))), (one,))
        checked = host.Index(listed, host.Const(0), span)
        item = frame.let(checked, (item,), TupleType(types), span)
    return {
        name: frame.let(
            host.Index(host.Operand(0), host.Const(place), span), (item,), type, span, name
        )
        for place, (name, type) in enumerate(zip(names, types, strict=True))
    }
