"""Values where a type is asked for: parameters, results, options.

A value fits by its type, or, where it is written out, by what it is: `3` is an `int(0..10)`, a dict
literal may be a record, a list literal fits item by item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import relations
from sglc.compiler.diagnostics import nearest
from sglc.ir.types import JsonType, ListType, OptionalType, RecordType, Type
from sglc.ir.values import Mismatch, conform

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions
    from sglc.compiler.check.report import Secondary


def require_fit(
    expressions: Expressions,
    expr: syntax.Expr,
    wanted: Type,
    what: str,
    secondary: Secondary = (),
    *,
    may_be_json: bool = False,
) -> bool:
    """Report where `expr`, whose type is known, is no `wanted`; at the smallest part that is wrong.
    `what` names what asks for it ("the parameter `n`"). With `may_be_json`, json that is not
    constant stands for any type and is checked when it runs."""
    tables, report = expressions.tables, expressions.report
    found = tables.type_of(expr)
    if relations.assignable(found, wanted):
        return True
    is_json = may_be_json and relations.fits_when_run(found, wanted)
    if is_json and not _has_record(expr) and expressions.consts.known(expr) is None:
        return True
    inner = relations.without_null(wanted)
    match expr:
        case syntax.ListLiteral(items=items) if isinstance(inner, ListType) and items:
            fits = [require_fit(expressions, i, inner.item, f"an item of {what}") for i in items]
            if all(fits) and _has_count(len(items), inner):
                tables.types[expr] = inner
                return True
            if not all(fits):
                return False
        case syntax.DictLiteral() if isinstance(inner, RecordType):
            return _require_record(expressions, expr, inner)
        case syntax.Conditional(then=then, otherwise=otherwise):
            arms = [require_fit(expressions, arm, wanted, what) for arm in (then, otherwise)]
            return all(arms)
        case syntax.Comprehension(key=None, element=element) if (
            isinstance(inner, ListType) and inner.min_items is None and inner.max_items is None
        ):
            if require_fit(expressions, element, inner.item, f"an item of {what}"):
                tables.types[expr] = inner
                return True
            return False
    problem = f"found `{found}`"
    known = expressions.consts.known(expr)
    if known is not None:
        try:
            conform(known.value, wanted)
            return True
        except Mismatch as mismatch:
            problem = str(mismatch)
    report.error(
        "E0301",
        f"{what} is `{wanted}`",
        expr,
        problem,
        secondary=secondary,
        help=_help(expressions, expr, found, wanted),
    )
    return False


def _has_record(expr: syntax.Expr) -> bool:
    """True when a dict stands written out in the value, to be checked field by field."""
    match expr:
        case syntax.DictLiteral():
            return True
        case syntax.ListLiteral(items=items):
            return any(_has_record(item) for item in items)
        case syntax.Comprehension(key=None, element=element):
            return _has_record(element)
        case syntax.Conditional(then=then, otherwise=otherwise):
            return _has_record(then) or _has_record(otherwise)
    return False


def _require_record(expressions: Expressions, expr: syntax.DictLiteral, record: RecordType) -> bool:
    """A dict literal as a record: each field there once, and each of its type."""
    report = expressions.report
    names = dict(record.fields)
    given: set[str] = set()
    is_good = True
    for key, value in expr.items:
        known = expressions.consts.known(key)
        name = known.value if known is not None else None
        if not isinstance(name, str):
            message = f"the field names of a `{record.name}` are constant"
            report.error("E0301", message, key, "not a constant str")
            return False
        given.add(name)
        if name not in names:
            near = nearest(name, names)
            listed = relations.show_fields(record.fields)
            help = f"did you mean `{near}`?" if near else f"its fields are {listed}"
            message = f"the record `{record.name}` has no field `{name}`"
            report.error("E0213", message, key, "no such field", help=help)
            is_good = False
        elif not require_fit(expressions, value, names[name], f"the field `{record.name}.{name}`"):
            is_good = False
    missing = [name for name in names if name not in given]
    if missing and is_good:
        listed = ", ".join(f"`{name}`" for name in missing)
        report.error("E0301", f"this `{record.name}` lacks {listed}", expr, "incomplete")
        is_good = False
    if is_good:
        expressions.tables.types[expr] = record
    return is_good


def _has_count(count: int, wanted: ListType) -> bool:
    low, high = wanted.min_items, wanted.max_items
    return (low is None or count >= low) and (high is None or count <= high)


def _help(expressions: Expressions, expr: syntax.Expr, found: Type, wanted: Type) -> str | None:
    if isinstance(found, OptionalType) and not isinstance(wanted, OptionalType):
        return expressions.null_help(expr)
    name = str(relations.base(wanted))
    if isinstance(found, JsonType) and name in ("str", "int", "float", "bool"):
        return f"json is checked when it runs: convert it with `{name}(...)`"
    if name == "str" and relations.base(found) != relations.base(wanted):
        return "convert it with `str(...)`"
    if name == "int" and str(found) == "float":
        return "cut it with `int(...)`"
    return None
