"""Values in the form that a place asks for: json checked, and ints made floats.

A value of static type `float` may be an int when it runs (`max([3, 2.5])` is 3), and what json is
shows only then; what a parameter, a result or a variable asks for is settled where it gets it.
"""

from __future__ import annotations

from sglc.compiler.lower.frame import Frame
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.span import Span
from sglc.ir.types import FloatType, JsonType, ListType, OptionalType, RecordType, Type
from sglc.ir.value_type import ValueType


def fitted(frame: Frame, value: ops.Value, wanted: Type, span: Span | None) -> ops.Value:
    """The value as one of type `wanted`, which the checker let it stand for."""
    if not (holds_floats(wanted) or (value.type != wanted and _holds_json(value.type))):
        return value
    conformed = host.Conform(host.Operand(0), wanted, span)
    return frame.let(conformed, (value,), wanted, span, value.name)


def holds_floats(type: Type) -> bool:
    """Whether an int in a value of this type may have to become a float."""
    match type:
        case FloatType():
            return True
        case OptionalType(item) | ListType(item):
            return holds_floats(item)
        case RecordType(fields=fields):
            return any(holds_floats(field) for _, field in fields)
    return False


def _holds_json(type: ValueType) -> bool:
    match type:
        case JsonType():
            return True
        case OptionalType(item) | ListType(item):
            return _holds_json(item)
    return False
