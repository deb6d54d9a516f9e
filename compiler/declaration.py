"""The abstract syntax of a file and of what it declares.

Law: as in `syntax.py`, a node is what was written; it compares and hashes by identity.
Knows nothing about which file an import leads to.
"""

from __future__ import annotations

from dataclasses import dataclass

from sglc.compiler.syntax import Block, Expr, Identifier, Keyword, Node, String, TypeExpr


@dataclass(frozen=True, eq=False, slots=True)
class Param(Node):
    name: Identifier
    type: TypeExpr
    default: Expr | None


@dataclass(frozen=True, eq=False, slots=True)
class Import(Node):
    path: String
    alias: Identifier | None


@dataclass(frozen=True, eq=False, slots=True)
class Const(Node):
    name: Identifier
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class RecordField(Node):
    name: Identifier
    type: TypeExpr


@dataclass(frozen=True, eq=False, slots=True)
class RecordDecl(Node):
    """`type Name:` and a block of fields."""

    name: Identifier
    fields: tuple[RecordField, ...]


@dataclass(frozen=True, eq=False, slots=True)
class AliasDecl(Node):
    """`type Name = T`"""

    name: Identifier
    type: TypeExpr


@dataclass(frozen=True, eq=False, slots=True)
class Extern(Node):
    """`[pure] extern name(params) -> T [(timeout=, retries=)]`"""

    name: Identifier
    params: tuple[Param, ...]
    result: TypeExpr | None
    options: tuple[Keyword, ...]
    is_pure: bool


@dataclass(frozen=True, eq=False, slots=True)
class Fragment(Node):
    """`def name(params) -> T:`"""

    name: Identifier
    params: tuple[Param, ...]
    result: TypeExpr | None
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Program(Node):
    name: Identifier
    params: tuple[Param, ...]
    result: TypeExpr | None
    body: Block


Decl = Import | Const | RecordDecl | AliasDecl | Extern | Fragment | Program


@dataclass(frozen=True, eq=False, slots=True)
class File(Node):
    """One parsed source file. `doc` is the docstring at its top, as plain text."""

    doc: str | None
    decls: tuple[Decl, ...]
