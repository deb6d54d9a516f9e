"""How the values of a program are written for people: by name, or as what computes them."""

from __future__ import annotations

import json

from sglc.ir import graph, ops
from sglc.ir.host.expr import Const, Format, JsonConst
from sglc.ir.ops import Region, Value
from sglc.ir.textual.exprs import expr_text

_MOST = 160  # characters of an expression inside another one


class Texts:
    """Of all values of one program."""

    def __init__(self, body: Region) -> None:
        self._lets: dict[int, ops.Let] = {}
        self._externs: dict[int, ops.Extern] = {}
        for op in graph.walk(body):
            if isinstance(op, ops.Let):
                self._lets[op.result.id] = op
            elif isinstance(op, ops.Extern):
                self._externs[op.result.id] = op

    def name(self, value: Value) -> str:
        """The author's name, else the expression."""
        return value.name or self.expression(value)

    def expression(self, value: Value) -> str:
        """The expression of a value, or its name where it has none."""
        let, extern = self._lets.get(value.id), self._externs.get(value.id)
        if extern is not None:
            return f"{extern.name}({', '.join(map(self.short, extern.args))})"
        if let is None:
            return value.name or "..."
        if isinstance(let.expr, JsonConst):
            return let.expr.text
        return expr_text(let.expr, lambda i: _clipped(self.name(let.operands[i])))

    def template(self, value: Value) -> str:
        """What a context is given when the value is appended: text as it is, the rest in braces."""
        let = self._lets.get(value.id)
        if let is not None and isinstance(let.expr, Const):
            constant = let.expr.value
            return constant if isinstance(constant, str) else json.dumps(constant)
        if let is None or not isinstance(let.expr, Format):
            return "{" + self.name(value) + "}"
        texts = []
        for part, spec in let.expr.parts:
            if isinstance(part, Const) and isinstance(part.value, str):
                texts.append(part.value)
            else:
                inner = expr_text(part, lambda i: _clipped(self.name(let.operands[i])))
                texts.append("{" + inner + (f":{spec}" if spec else "") + "}")
        return "".join(texts)

    def length(self, value: Value) -> int | None:
        """How many items a constant list has."""
        let = self._lets.get(value.id)
        if let is None or not isinstance(let.expr, JsonConst):
            return None
        items = json.loads(let.expr.text)
        return len(items) if isinstance(items, list) else None

    def short(self, value: Value) -> str:
        """`name`, cut where it is long."""
        return _clipped(self.name(value))


def _clipped(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."
