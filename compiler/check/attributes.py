"""`x.name`: a field of a record, branch or group, a meta of a gen, or a file's const."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import narrowing, relations
from sglc.compiler.checked import Meta
from sglc.compiler.diagnostics import nearest
from sglc.ir.host.functions import SIGNATURES
from sglc.ir.types import (
    JSON,
    UNKNOWN,
    BranchType,
    GroupType,
    JsonType,
    ListType,
    OptionalType,
    RecordType,
    Type,
    UnknownType,
)

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions

META_NAMES = ("finish_reason", "tokens", "logprobs", "scores", "index")


def attribute_type(expressions: Expressions, expr: syntax.Attribute) -> Type:
    """The type of `x.name`: what a gen or select tells of itself, an import's name, or a field."""
    found = _meta(expressions, expr)
    if found is not None:
        return found
    imported = _imported(expressions, expr)
    if imported is not None:
        return imported
    owner = expressions.infer(expr.value)
    where = narrowing.path(expr)
    field = _field(expressions, expr, owner)
    if where is not None:
        return expressions.scope.here.narrowed.get(where, field)
    return field


def _meta(expressions: Expressions, expr: syntax.Attribute) -> Type | None:
    """The meta of a variable or of a branch's field; None where it is an ordinary field."""
    scope, name = expressions.scope, expr.name.text
    if name not in META_NAMES:
        return None
    owner = expr.value
    if isinstance(owner, syntax.Name) and scope.local(owner.text) is None:
        known = scope.variables.get(owner.text)
        if known is None or _has_field(known.type, name):
            return None
        meta = f"{owner.text}.{name}"
        if meta in scope.here.surely:
            expressions.infer(owner)
            expressions.tables.metas[expr] = Meta(owner.text, name)
            return scope.meta_types[meta]
        return None
    if isinstance(owner, syntax.Attribute):
        inner = expressions.infer(owner)
        holder = expressions.tables.type_of(owner.value)
        if isinstance(holder, BranchType | GroupType) and not _has_field(inner, name):
            found = holder.field(f"{owner.name.text}.{name}")
            if found is not None:
                return ListType(found) if isinstance(holder, GroupType) else found
    return None


def _has_field(type: Type, name: str) -> bool:
    return isinstance(type, RecordType) and type.field(name) is not None


def _imported(expressions: Expressions, expr: syntax.Attribute) -> Type | None:
    """The const `file.NAME` of an imported file; None when `file` is no import."""
    module, owner = expressions.scope.module, expr.value
    if not isinstance(owner, syntax.Name) or owner.text not in module.aliases:
        return None
    if expressions.scope.local(owner.text) is not None:
        return None
    decl = module.aliases[owner.text]
    expressions.tables.used.add(decl)
    name = f"{owner.text}.{expr.name.text}"
    if decl not in module.imports:
        return UNKNOWN
    if module.find(name) is None:
        report_missing_import(expressions, expr, module.imports[decl].exported())
        return UNKNOWN
    return expressions.declared_value(expr, name)


def report_missing_import(
    expressions: Expressions, expr: syntax.Attribute, exported: list[str]
) -> None:
    """Of `module.name` where the file imported declares only the `exported` names."""
    near = nearest(expr.name.text, exported)
    listed = ", ".join(f"`{name}`" for name in exported[:8]) or "nothing"
    assert isinstance(expr.value, syntax.Name)
    expressions.report.error(
        "E0203",
        f"the file imported as `{expr.value.text}` declares no `{expr.name.text}`",
        expr.name,
        "not found there",
        help=f"did you mean `{near}`?" if near else f"it declares {listed}",
    )


def _field(expressions: Expressions, expr: syntax.Attribute, owner: Type) -> Type:
    name = expr.name.text
    match owner:
        case UnknownType():
            return UNKNOWN
        case JsonType():
            return JSON
        case RecordType(record, fields):
            found = owner.field(name)
            return found or _missing(expressions, expr, f"the record `{record}`", fields)
        case BranchType(fields):
            found = owner.field(name)
            return found or _missing(expressions, expr, "a branch of this fork", fields)
        case GroupType(fields):
            found = owner.field(name)
            if found is not None:
                return ListType(found)
            return _missing(expressions, expr, "a branch of this fork", fields)
        case ListType(item=RecordType() | BranchType() | JsonType()):
            help = f"take one item, or all: `[item.{name} for item in ...]`"
        case OptionalType():
            help = expressions.null_help(expr.value) or ""
        case _:
            help = f"built-ins are functions: `{name}(...)`" if name in SIGNATURES else ""
    message = f"a value of type `{owner}` has no field `{name}`"
    if name in META_NAMES and isinstance(expr.value, syntax.Name | syntax.Attribute):
        bound = expr.value.text if isinstance(expr.value, syntax.Name) else expr.value.name.text
        message, help = _meta_problem(bound, name)
    expressions.report.error("E0213", message, expr.name, "no such field", help=help or None)
    return UNKNOWN


def _meta_problem(variable: str, meta: str) -> tuple[str, str]:
    if meta == "logprobs":
        return (
            f"`{variable}.logprobs` is not known here",
            "ask for them where it is generated on every path: `gen x(logprobs=5)`",
        )
    source = "select" if meta in ("scores", "index") else "gen"
    return (
        f"`{variable}.{meta}` is not known here",
        f"it can be read after a `{source}` bound `{variable}` on every path to here",
    )


def _missing(
    expressions: Expressions,
    expr: syntax.Attribute,
    owner: str,
    fields: tuple[tuple[str, Type], ...],
) -> Type:
    name = expr.name.text
    plain = [field for field, _ in fields if "." not in field]
    near = nearest(name, plain)
    listed = relations.show_fields([(field, UNKNOWN) for field in plain])
    help = f"did you mean `{near}`?" if near else f"its fields are {listed}"
    if near is None and owner.startswith("a branch"):
        help = f"each path through a branch binds {listed}"
    expressions.report.error(
        "E0213", f"{owner} has no field `{name}`", expr.name, "no such field", help=help
    )
    return UNKNOWN
