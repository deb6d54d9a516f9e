"""What a text parses to, and nodes as nested tuples to compare them with."""

from __future__ import annotations

import dataclasses
from typing import Any

from sglc.compiler import declaration, syntax
from sglc.compiler.parse import parse
from sglc.ir.span import Source


def parsed(text: str) -> declaration.File:
    file, diagnostics = parse(Source("t.sgl", text), 0)
    assert not diagnostics, [d.message for d in diagnostics]
    assert file is not None
    return file


def body(statements: str) -> syntax.Block:
    lines = "".join(f"    {line}\n" for line in statements.split("\n"))
    (program,) = parsed("program p():\n" + lines).decls
    assert isinstance(program, declaration.Program)
    return program.body


def statement(text: str) -> Any:
    (only,) = body(text)
    return only


def expression(text: str) -> Any:
    return statement(f"let x = {text}").value


def type_(text: str) -> Any:
    (alias,) = parsed(f"type T = {text}").decls
    assert isinstance(alias, declaration.AliasDecl)
    return alias.type


def shape(node: object) -> object:
    """A node as nested tuples (class name, fields), spans left out."""
    if isinstance(node, syntax.Node):
        fields = [getattr(node, f.name) for f in dataclasses.fields(node) if f.name != "span"]
        return type(node).__name__, *map(shape, fields)
    return tuple(map(shape, node)) if isinstance(node, tuple) else node


def NAMED(name: str, item: object = None, *args: object) -> tuple[object, ...]:
    return "NamedType", ("Identifier", name), item, args


def KEYWORD(name: str, value: object) -> tuple[object, ...]:
    return "Keyword", ("Identifier", name), value


def LITERAL(value: object) -> tuple[object, ...]:
    return "Literal", value


def STRING(*parts: object) -> tuple[object, ...]:
    return "String", parts, False


def NAME(name: str) -> tuple[object, ...]:
    return "Name", name
