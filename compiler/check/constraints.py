"""What constrains a gen: its type, or one of regex, json_schema, ebnf and choices.

Everything about a constraint is checked here; then it is refused, since this version does not
constrain generation.
Law: a gen that is constrained never passes as one that is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check.options import CONSTRAINTS, STOPS
from sglc.compiler.check.patterns import check_regex, place_in_string
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value
from sglc.ir.host.text import parse_json
from sglc.ir.types import STR, GroupType, ImageType, Type, UnknownType

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions

_JSON_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


def check_constraint(
    expressions: Expressions, gen: syntax.Gen, type: Type, options: dict[str, syntax.Keyword]
) -> None:
    """Check what constrains the gen, and refuse it."""
    report = expressions.report
    is_typed = gen.type is not None and type not in (STR,) and not isinstance(type, UnknownType)
    given = [options[name] for name in CONSTRAINTS if name in options]
    errors = len(report.errors)
    if gen.type is not None and isinstance(type, ImageType | GroupType):
        report.error("E0604", f"a gen cannot yield a value of type `{type}`", gen.type)
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
    if places and len(report.errors) == errors:
        what = f"the type `{type}`" if is_typed else f"`{given[0].name.text}`"
        report.error(
            "E0801",
            f"constrained generation is not supported yet by this version: {what}",
            places[0],
            "would constrain this gen",
            help="generate text and take it apart with `find`, `parse_json` or `select`",
        )


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
        return  # a constraint built from input is checked when rows are bound
    value, sources = known.value, expressions.types.sources
    match keyword.name.text:
        case "regex" if isinstance(value, str):
            check_regex(value, keyword.value, expressions.report, sources)
        case "json_schema":
            _check_schema(expressions, keyword.value, value)
        case "ebnf" if isinstance(value, str):
            if not re.search(r"^\s*root\s*::=", value, re.MULTILINE):
                message = "a grammar starts from the rule `root`, which this one lacks"
                help = "write `root ::= ...`"
                expressions.report.error(
                    "E0608", message, keyword.value, "no `root ::=`", help=help
                )
        case "choices":
            check_choices(expressions, keyword.value, value)


def _check_schema(expressions: Expressions, expr: syntax.Expr, value: Value) -> None:
    report = expressions.report
    if isinstance(value, str):
        try:
            schema = parse_json(value)
        except HostError as error:
            place = expr
            found = re.search(r"line 1 column (\d+)", error.message)
            if found:
                offset = int(found[1]) - 1
                at = place_in_string(place, value, offset, expressions.types.sources)
            else:
                at = place
            report.error("E0607", f"this JSON schema is {error.message}", at, "not JSON from here")
            return
    else:
        schema = value
    problem = _schema_problem(schema, "the schema")
    if problem:
        report.error("E0607", problem, expr, "not a JSON schema")


def _schema_problem(schema: Value, where: str) -> str | None:
    """The first thing about the shape of a JSON schema that is wrong, or None."""
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return f"{where} is an object"
    types = schema.get("type", [])
    for name in types if isinstance(types, list) else [types]:
        if name not in _JSON_TYPES:
            return f"`type` in {where} is one of {', '.join(_JSON_TYPES)}"
    for name in ("properties", "$defs", "definitions"):
        inner = schema.get(name, {})
        if not isinstance(inner, dict):
            return f"`{name}` in {where} is an object"
        for key, value in inner.items():
            problem = _schema_problem(value, f"`{key}` of {where}")
            if problem:
                return problem
    for name in ("required", "enum", "anyOf", "oneOf", "allOf"):
        if not isinstance(schema.get(name, []), list):
            return f"`{name}` in {where} is a list"
    return _schema_problem(schema["items"], f"`items` of {where}") if "items" in schema else None
