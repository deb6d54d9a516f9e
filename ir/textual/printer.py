"""The textual form of modules: one op a line, regions indented, values as `%name.id`.

Law: equal modules have equal text, but for the names of values (`parser.py` reads it back).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from sglc.ir import graph, ops
from sglc.ir.host.expr import Conform, Expr
from sglc.ir.host.walk import operand_order, subexpressions
from sglc.ir.module import ExternDecl, Function, Module
from sglc.ir.ops import Op, PathItem, Region, Terminator, Value
from sglc.ir.textual.exprs import expr_text
from sglc.ir.textual.scanner import name_text
from sglc.ir.textual.types import RecordNames, fields_text, type_text
from sglc.ir.value_type import ValueType

_VALUE_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def module_lines(module: Module) -> Iterator[str]:
    records = RecordNames()
    _declare(module, records)
    for shown, record in records.by_text.items():
        yield f"record {shown.removeprefix('record ')} {fields_text(record.fields, records)}"
    printer = Printer(records)
    for extern in module.externs:
        yield printer.extern(extern)
    for function in graph.all_functions(module):
        yield ""
        yield from printer.function(function)


def _declare(module: Module, records: RecordNames) -> None:
    for extern in module.externs:
        for _, type in extern.params:
            records.add(type)
        records.add(extern.result)
    for function in graph.all_functions(module):
        records.add(function.result)
        for param in function.params:
            if param.default is not None:
                _declare_in(param.default, records)
        for value in graph.definitions(function.body):
            records.add(value.type)
        for op in graph.walk(function.body):
            if isinstance(op, ops.Gen):
                records.add(op.type)
                for part in op.piece.after if op.piece else ():
                    if not isinstance(part, str):
                        records.add(part)
            elif isinstance(op, ops.Let):
                _declare_in(op.expr, records)


def _declare_in(expr: Expr, records: RecordNames) -> None:
    for part in subexpressions(expr):
        if isinstance(part, Conform):
            records.add(part.type)


def value_text(value: Value) -> str:
    is_shown = value.name and _VALUE_NAME.fullmatch(value.name)
    return f"%{value.name}.{value.id}" if is_shown else f"%{value.id}"


def values_text(values: Iterable[Value]) -> str:
    return ", ".join(map(value_text, values))


def pairs_text(pairs: tuple[tuple[str, Value], ...]) -> str:
    return ", ".join(f"{name}={value_text(value)}" for name, value in pairs)


class Printer:
    def __init__(self, records: RecordNames) -> None:
        self.records = records

    def extern(self, extern: ExternDecl) -> str:
        params = ", ".join(f"{name_text(n)}: {self.type(t)}" for n, t in extern.params)
        flags = " pure" if extern.is_pure else ""
        if extern.timeout is not None:
            flags += f" timeout {json.dumps(extern.timeout)}"
        if extern.retries:
            flags += f" retries {extern.retries}"
        return f"extern {name_text(extern.name)}({params}) -> {self.type(extern.result)}{flags}"

    def function(self, function: Function) -> Iterator[str]:
        kind = "program" if function.is_program else "function"
        defaults = {param.value.id: param.default for param in function.params}
        params = ", ".join(self.param(arg, defaults.get(arg.id)) for arg in function.body.args)
        result = f" -> {self.type(function.result)}" if function.result is not None else ""
        names = " names" if function.returns_names else ""
        yield f"{kind} {name_text(function.name)}({params}){result}{names} {{"
        yield from self.inside(function.body)
        yield "}"

    def param(self, arg: Value, default: Expr | None) -> str:
        text = self.definition(arg)
        return (
            text if default is None else f"{text} = {expr_text(default, '${}'.format, self.type)}"
        )

    def type(self, type: ValueType) -> str:
        return type_text(type, self.records)

    def definition(self, value: Value) -> str:
        return f"{value_text(value)}: {self.type(value.type)}"

    def inside(self, region: Region) -> Iterator[str]:
        """The lines of a region's ops and its end, indented."""
        for op in region.ops:
            yield from ("  " + line for line in self.op(op))
        yield "  " + self.end(region.end)

    def end(self, end: Terminator) -> str:
        values = values_text(end.values)
        return f"{type(end).__name__.lower()} {values}".rstrip()

    def op(self, op: Op) -> Iterator[str]:
        results = ", ".join(map(self.definition, graph.results(op)))
        head, *rest = self.body(op)
        yield f"{results} = {head}" if results else head
        yield from rest

    def body(self, op: Op) -> Iterator[str]:
        """The op's text after its results; further lines where it has regions."""
        match op:
            case ops.Require(condition, message):
                yield from self.with_regions(f"require {value_text(condition)}", ("", message))
            case ops.If(_, condition, then, otherwise):
                head = f"if {value_text(condition)}"
                yield from self.with_regions(head, ("", then), ("else", otherwise))
            case ops.For(_, items, inits, body):
                head = f"for {value_text(items)}{self.carried(inits)}"
                yield from self.with_regions(head, ("", body))
            case ops.While(_, limit, inits, test, body):
                head = f"while max {value_text(limit)}{self.carried(inits)}"
                yield from self.with_regions(head, ("", test), ("do", body))
            case ops.Fork(_, _, context, items, fields, body):
                source = f" {value_text(context)}" if context is not None else ""
                names = ", ".join(map(name_text, fields))
                head = f"fork{source} over {value_text(items)} fields [{names}]"
                yield from self.with_regions(head, ("", body))
            case ops.Run(_, body):
                yield from self.with_regions("run", ("", body))
            case ops.Try(_, body, handler):
                yield from self.with_regions("try", ("", body), ("else", handler))
            case ops.Scope(_, body):
                yield from self.with_regions("scope", ("", body))
            case _:
                yield self.line(op)

    def carried(self, inits: tuple[Value, ...]) -> str:
        return f" carrying ({values_text(inits)})" if inits else ""

    def with_regions(self, head: str, *parts: tuple[str, Region]) -> Iterator[str]:
        for word, region in parts:
            head = f"{head} {word}" if word else head
            if region.args:
                head += f" ({', '.join(map(self.definition, region.args))})"
            yield head + " {"
            yield from self.inside(region)
            head = "}"
        yield head

    def line(self, op: Op) -> str:
        """The text of an op without regions."""
        v = value_text
        match op:
            case ops.Start():
                return "start"
            case ops.Append(_, context, text):
                return f"append {v(context)}, {v(text)}"
            case ops.Control(_, context, token):
                return f"control {v(context)}, {json.dumps(token, ensure_ascii=False)}"
            case ops.Open(_, context, role):
                return f"open {v(context)}, {json.dumps(role, ensure_ascii=False)}"
            case ops.Close(_, context):
                return f"close {v(context)}"
            case ops.Gen():
                return self.gen(op)
            case ops.Select():
                return self.select(op)
            case ops.Capture(_, before, after):
                return f"capture {v(before)}, {v(after)}"
            case ops.Join(_, context, base, branches):
                return f"join {v(context)}, {v(branches)} since {v(base)}"
            case ops.Let():
                return self.let(op)
            case ops.Extern(_, name, args):
                return f"extern {name_text(name)}({values_text(args)}){place_text(op)}"
            case ops.Call(_, _, function, source, args, defaults, path):
                given = values_text((source, *args))
                below = f" defaults ({pairs_text(defaults)})" if defaults else ""
                return f"call {name_text(function)}({given}){below}{path_text(path)}"
            case _:
                raise TypeError(f"no text for {op!r}")

    def let(self, op: ops.Let) -> str:
        ids = [value.id for value in op.operands]
        is_in_place = operand_order(op.expr) == list(range(len(ids))) and len(set(ids)) == len(ids)
        if is_in_place:
            shown = expr_text(op.expr, lambda i: value_text(op.operands[i]), self.type)
            return f"let {shown}"
        shown = expr_text(op.expr, "${}".format, self.type)
        return f"let {shown} over ({values_text(op.operands)})"

    def gen(self, op: ops.Gen) -> str:
        text = f"gen {name_text(op.name)} from" if op.name else "gen from"
        text += f" {value_text(op.context)} as {self.type(op.type)}"
        if op.options:
            text += f" with ({pairs_text(op.options)})"
        if op.splits_reasoning:
            text += " reasoning"
        text += metas_text(op.metas) + place_text(op)
        return text if op.piece is None else f"{text} {self.piece(op.piece)}"

    def piece(self, piece: ops.Piece) -> str:
        parts = (
            json.dumps(part, ensure_ascii=False) if isinstance(part, str) else self.type(part)
            for part in piece.after
        )
        before = json.dumps(piece.before, ensure_ascii=False)
        return f"piece since {value_text(piece.base)} before {before} after [{', '.join(parts)}]"

    def select(self, op: ops.Select) -> str:
        text = f"select {name_text(op.name)} from" if op.name else "select from"
        text += f" {value_text(op.context)} in {value_text(op.choices)} by {name_text(op.method)}"
        if op.temperature is not None:
            text += f" temperature {value_text(op.temperature)}"
        return text + metas_text(op.metas) + place_text(op)


def metas_text(metas: tuple[tuple[str, Value], ...]) -> str:
    return f" metas [{', '.join(name_text(name) for name, _ in metas)}]" if metas else ""


def place_text(op: ops.Gen | ops.Select | ops.Extern) -> str:
    """Whether the op is done once for all rows, and its path."""
    return (" shared" if op.is_shared else "") + path_text(op.path)


def path_text(path: tuple[PathItem, ...]) -> str:
    items = (str(item) if isinstance(item, int) else value_text(item) for item in path)
    return f" path [{', '.join(items)}]"
