"""What constrains a gen: its type, or one of regex, json_schema, ebnf and choices.

Everything about a constant constraint is checked here, except whether its values fit max_tokens,
which depends on the model. One that is built from input is checked when rows are bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.codegen.automata.compile import check_source
from sglc.codegen.automata.source import (
    ConstraintError,
    ConstraintSource,
    NoText,
    NotSupported,
)
from sglc.compiler import syntax
from sglc.compiler.check.constraint_place import place_of
from sglc.compiler.check.options import CONSTRAINTS, STOPS
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.ir.types import STR, GroupType, ImageType, Type, UnknownType

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions

# what a source that is wrong is called, by its kind
_WRONG = {
    "type": ("E0604", "type"),
    "regex": ("E0606", "regex"),
    "json_schema": ("E0607", "JSON schema"),
    "ebnf": ("E0608", "grammar"),
    "choices": ("E0609", "list of choices"),
}


def check_constraint(
    expressions: Expressions, gen: syntax.Gen, type: Type, options: dict[str, syntax.Keyword]
) -> None:
    """Check what constrains the gen."""
    report = expressions.report
    is_typed = gen.type is not None and type not in (STR,) and not isinstance(type, UnknownType)
    given = [options[name] for name in CONSTRAINTS if name in options]
    if gen.type is not None and isinstance(type, ImageType | GroupType):
        report.error("E0604", f"a gen cannot yield a value of type `{type}`", gen.type)
    elif gen.type is not None and is_typed:
        _check_source(expressions, ConstraintSource("type", type), gen.type)
    for keyword in given:
        _check_one(expressions, keyword)
    places: list[syntax.Node] = [*([gen.type] if is_typed and gen.type else []), *given]
    for place in places[1:]:
        secondary = ((places[0], "the first"),)
        message = "a gen has one constraint: its type, or one of " + ", ".join(CONSTRAINTS)
        report.error("E0604", message, place, "a second one", secondary=secondary)
    for name in STOPS:
        if name in options and places:
            what = f"of type `{type}`" if is_typed else "with a constraint"
            message = f"a gen {what} ends by itself, so `{name}` cannot stand here"
            report.error("E0605", message, options[name], "not with a constraint")


def check_choices(expressions: Expressions, expr: syntax.Expr, values: Value) -> None:
    """The constant choices of a select or gen: some, none empty, none twice."""
    assert isinstance(values, list)
    report = expressions.report
    if not values:
        report.error("E0609", "there is nothing to choose from", expr, "an empty list")
    items = expr.items if isinstance(expr, syntax.ListLiteral) else ()
    places = items if len(items) == len(values) else (expr,) * len(values)
    first: dict[Value, syntax.Expr] = {}
    for value, place in zip(values, places, strict=True):
        if value == "":
            report.error("E0609", "a choice is empty", place, "no text to score")
        elif isinstance(value, str) and value in first:
            message = f'the choice "{value}" is there twice'
            secondary = ((first[value], "first here"),) if first[value] is not place else ()
            report.error("E0609", message, place, "again", secondary=secondary)
        elif isinstance(value, str):
            first[value] = place


def _check_one(expressions: Expressions, keyword: syntax.Keyword) -> None:
    known = expressions.consts.known(keyword.value)
    if known is None:
        return
    name, value = keyword.name.text, known.value
    if name == "choices":
        check_choices(expressions, keyword.value, value)
        return
    # the text as it was written, so that places in it are the author's
    text = value if isinstance(value, str) else json_text(value)
    _check_source(expressions, ConstraintSource(name, text=text), keyword.value)


def _check_source(
    expressions: Expressions, source: ConstraintSource, at: syntax.Expr | syntax.TypeExpr
) -> None:
    try:
        check_source(source)
        return
    except ConstraintError as error:
        found = error
    code, what = _WRONG[source.kind]
    where = f" at `{found.pointer}`" if found.pointer else ""
    if isinstance(found, NoText):
        code, message = "E0614", f"nothing satisfies this {what}{where}"
    elif isinstance(found, NotSupported):
        code, message = "E0613", f"this {what} cannot be used{where}: {found.message}"
    else:
        message = f"this {what} is not valid{where}: {found.message}"
    place, label = place_of(found, at, source.text, expressions.types.sources)
    expressions.report.error(code, message, place, label)
