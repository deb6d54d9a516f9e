"""Statements that append: text, gen, select and reasoning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import relations
from sglc.compiler.check.attributes import META_NAMES
from sglc.compiler.check.constraints import check_choices, check_constraint
from sglc.compiler.check.flow import statements
from sglc.compiler.check.options import GEN_OPTIONS, SELECT_OPTIONS, check_method, check_options
from sglc.compiler.check.scope import Kind
from sglc.compiler.host import walk
from sglc.ir.types import (
    FLOAT,
    INT,
    JSON,
    STR,
    UNKNOWN,
    ImageType,
    ListType,
    LiteralType,
    Type,
)

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions
    from sglc.compiler.check.statements import Statements

_BRACED_NAME = re.compile(r"\{([^\W\d]\w*)\}")


def check_text(expressions: Expressions, stmt: syntax.Text) -> None:
    """A string that is appended; the only place of `special()`."""
    value = stmt.value
    for part in value.parts:
        if isinstance(part, syntax.Interpolation) and _is_special(part.value):
            expressions.specials.add(part.value)
    expressions.infer(value)
    for part in value.parts:
        if isinstance(part, syntax.Interpolation):
            found = expressions.tables.type_of(part.value)
            if isinstance(found, ImageType):
                message = "images in a context are not supported yet by this version"
                expressions.report.error("E0801", message, part.value, "an image")
    if value.is_raw:
        _warn_of_braces(expressions, value)


def _is_special(expr: syntax.Expr) -> bool:
    return (
        isinstance(expr, syntax.Call)
        and isinstance(expr.function, syntax.Name)
        and expr.function.text == "special"
    )


def _warn_of_braces(expressions: Expressions, value: syntax.String) -> None:
    """`r"{name}"` appends the braces; where the name is one of ours, that is hardly meant."""
    names = expressions.scope.visible()
    for part in value.parts:
        for found in _BRACED_NAME.finditer(part if isinstance(part, str) else ""):
            if found[1] in names:
                expressions.report.warning(
                    "W0102",
                    f"`{{{found[1]}}}` in a raw string is not the value of `{found[1]}`",
                    value,
                    'nothing is interpolated in r"..."',
                    help="leave out the `r`",
                )


# ---------------------------------------------------------------- gen and select


def check_gen(statements: Statements, stmt: syntax.Gen) -> None:
    """Bind what is generated: a value of the type, json under a schema, else a str; with `n` a list
    of them."""
    expressions = statements.expressions
    type: Type = STR
    if stmt.type is not None:
        type = expressions.types.resolve(stmt.type, expressions.scope.module)
    options = check_options(expressions, stmt.options, GEN_OPTIONS, "gen")
    if stmt.type is None and "json_schema" in options:
        type = JSON
    check_constraint(expressions, stmt, type, options)
    _check_token_range(expressions, {**statements.defaults, **options})
    is_list = "n" in options
    if stmt.name is None:
        return
    metas: dict[str, Type] = {"finish_reason": STR, "tokens": ListType(STR)}
    if "logprobs" in options or "logprobs" in statements.defaults:
        metas["logprobs"] = ListType(JSON)
    if is_list:
        type = ListType(type)
        metas = {name: ListType(meta) for name, meta in metas.items()}
    expressions.scope.bind(stmt.name, type, Kind.GENERATED, _read(statements, metas))


def _check_token_range(expressions: Expressions, options: dict[str, syntax.Keyword]) -> None:
    low, high = options.get("min_tokens"), options.get("max_tokens")
    least = expressions.consts.known(low.value) if low else None
    most = expressions.consts.known(high.value) if high else None
    if low is None or least is None or (high is not None and most is None):
        return
    limit = most.value if most else 128
    if isinstance(least.value, int) and isinstance(limit, int) and least.value > limit:
        message = f"`min_tokens` {least.value} is above `max_tokens` {limit}"
        secondary = ((high, "the most"),) if high else ()
        label = "the least" if high else "the default of `max_tokens` is 128"
        expressions.report.error("E0603", message, low, label, secondary=secondary)


def _read(statements: Statements, metas: dict[str, Type]) -> dict[str, Type]:
    """Those of the metas that the function reads anywhere; others need not be kept."""
    read = statements.scope.metas_read
    return {name: type for name, type in metas.items() if name in read}


def metas_read(body: syntax.Block) -> frozenset[str]:
    """The names of metas that stand after a dot somewhere in the body."""
    return frozenset(
        node.name.text
        for stmt in statements(body)
        for expr in expressions_of(stmt)
        for node in walk(expr)
        if isinstance(node, syntax.Attribute) and node.name.text in META_NAMES
    )


def expressions_of(stmt: syntax.Stmt) -> tuple[syntax.Expr, ...]:
    """The expressions that stand directly in a statement."""
    match stmt:
        case syntax.Text(value=value) | syntax.Let(value=value) | syntax.Assign(value=value):
            return (value,)
        case syntax.Evaluate(value=value):
            return (value,)
        case syntax.Return(value=result):
            return () if result is None else (result,)
        case syntax.Gen(options=options) | syntax.Defaults(options=options):
            return tuple(option.value for option in options)
        case syntax.Select(choices=choices, options=options):
            return (choices, *(option.value for option in options))
        case syntax.Fork(items=items) | syntax.For(items=items):
            return (items,)
        case syntax.Join(group=group):
            return (group,)
        case syntax.If(arms=arms):
            return tuple(test for test, _ in arms)
        case syntax.While(test=test, limit=limit):
            return (test,) if limit is None else (test, limit)
        case syntax.Require(condition=condition, message=message):
            return (condition,) if message is None else (condition, message)
    return ()


def check_select(statements: Statements, stmt: syntax.Select) -> None:
    """Bind the winner: a union of the choices where they are constant, else a str."""
    expressions = statements.expressions
    found = expressions.infer(stmt.choices)
    options = check_options(expressions, stmt.options, SELECT_OPTIONS, "select")
    if "method" in options:
        check_method(expressions, options["method"])
    type: Type = STR
    if relations.assignable(found, ListType(STR)):
        known = expressions.consts.known(stmt.choices)
        if known is not None and isinstance(known.value, list):
            texts = [value for value in known.value if isinstance(value, str)]
            check_choices(expressions, stmt.choices, known.value)
            _warn_of_equal_tokens(expressions, stmt.choices, texts)
            type = LiteralType(tuple(dict.fromkeys(texts))) if texts else UNKNOWN
        elif isinstance(item := relations.item_of(found), LiteralType):
            type = item
    else:
        help = "convert each: `[str(c) for c in ...]`" if relations.item_of(found) else None
        help = expressions.null_help(stmt.choices) or help
        message = "`select` chooses from a list of str"
        expressions.report.error("E0301", message, stmt.choices, f"found `{found}`", help=help)
    if stmt.name is not None:
        metas = _read(statements, {"scores": ListType(FLOAT), "index": INT})
        expressions.scope.bind(stmt.name, type, Kind.GENERATED, metas)


def _warn_of_equal_tokens(expressions: Expressions, expr: syntax.Expr, choices: list[str]) -> None:
    """Two choices that are the same tokens cannot be told apart by their scores."""
    spec = expressions.tables.spec
    if spec is None:
        return
    first: dict[tuple[int, ...], str] = {}
    items = expr.items if isinstance(expr, syntax.ListLiteral) else (expr,) * len(choices)
    for choice, place in zip(choices, items, strict=False):
        ids = tuple(spec.tokenizer.encode(choice))
        if ids in first and first[ids] != choice:
            message = f'the choices "{first[ids]}" and "{choice}" are the same tokens'
            expressions.report.warning("W0104", message, place, "can never win alone")
        first.setdefault(ids, choice)


# ---------------------------------------------------------------- blocks with a rule of their own


def check_reasoning(statements: Statements, stmt: syntax.Reasoning) -> None:
    """Text and exactly one gen; the thinking is bound beside the answer."""
    report = statements.report
    gens = [inner for inner in stmt.body if isinstance(inner, syntax.Gen)]
    others = [i for i in stmt.body if not isinstance(i, syntax.Gen | syntax.Text | syntax.Pass)]
    help = "write the `gen` whose thinking is split off directly inside"
    if others:
        message = "`reasoning` holds text and one gen, nothing else"
        report.error("E0409", message, others[0], "not one of them", help=help)
    elif len(gens) != 1:
        message = f"`reasoning` holds exactly one gen, not {len(gens) or 'none'}"
        at = gens[1] if gens else stmt.name
        report.error("E0409", message, at, "a second gen" if gens else "no gen inside", help=help)
    statements.block(stmt.body)
    is_list = any(option.name.text == "n" for gen in gens for option in gen.options)
    statements.scope.bind(stmt.name, ListType(STR) if is_list else STR, Kind.TEXT)
