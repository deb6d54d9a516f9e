"""Values as expressions and back: what folding leaves behind."""

from __future__ import annotations

import json

from sglc.ir.host.expr import Const, Expr, JsonConst, Value
from sglc.ir.host.text import json_text


def literal(value: Value) -> Const | JsonConst:
    """The expression that is this value."""
    return JsonConst(json_text(value)) if isinstance(value, list | dict) else Const(value)


def is_literal(expr: Expr) -> bool:
    return isinstance(expr, Const | JsonConst)


def literal_value(expr: Const | JsonConst) -> Value:
    return json.loads(expr.text) if isinstance(expr, JsonConst) else expr.value
