"""Operands: contexts where contexts belong, host values elsewhere; paths; expressions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sglc.ir import graph, ops
from sglc.ir.checks.shown import shown
from sglc.ir.host import expr as e
from sglc.ir.host.functions import FUNCTIONS
from sglc.ir.host.operators import BINARY, UNARY
from sglc.ir.host.walk import parts, subexpressions
from sglc.ir.module import Function
from sglc.ir.ops import Op, Value
from sglc.ir.textual.printer import value_text
from sglc.ir.types import IntType
from sglc.ir.value_type import BranchesType, ContextType

# fields that hold a context; `Join.branches` and `Fork.contexts` hold those of a fork
_CONTEXT_FIELDS: dict[type, tuple[str, ...]] = {
    ops.Start: ("result",),
    ops.Append: ("result", "context"),
    ops.Control: ("result", "context"),
    ops.Open: ("result", "context"),
    ops.Close: ("result", "context"),
    ops.Gen: ("result", "context", "piece"),
    ops.Select: ("result", "context"),
    ops.Capture: ("before", "after"),
    ops.Join: ("result", "context", "base"),
    ops.Fork: ("context",),
    ops.Call: ("context", "source"),
}
_ANY_FIELDS: dict[type, tuple[str, ...]] = {
    ops.If: ("results",),
    ops.For: ("results", "inits"),
    ops.While: ("results", "inits"),
    ops.Try: ("results",),
    ops.Scope: ("results",),
}
GEN_METAS = ("finish_reason", "tokens", "logprobs", "reasoning")
SELECT_METAS = ("scores", "index")
SELECT_METHODS = (
    "token_length_normalized",
    "greedy_token_selection",
    "unconditional_likelihood_normalized",
    "sum_logprob",
)


def is_host(value: Value) -> bool:
    return not isinstance(value.type, ContextType | BranchesType)


def _wanted(kind: type[Op]) -> Iterator[tuple[str, type | None]]:
    """The fields of a class of ops that hold values, with the type that those have; None is a host
    value."""
    shape = graph.SHAPES[kind]
    for name in (*shape.results, *shape.operands):
        if name in _CONTEXT_FIELDS.get(kind, ()):
            yield name, ContextType
        elif name == ("branches" if kind is ops.Join else "contexts"):
            yield name, BranchesType
        elif name not in _ANY_FIELDS.get(kind, ()):
            yield name, None


_WANTED = {kind: tuple(_wanted(kind)) for kind in graph.SHAPES}


def contexts_where_contexts(op: Op) -> Iterator[str]:
    for name, wanted in _WANTED[type(op)]:
        for value in graph.values_in(getattr(op, name)):
            if wanted is None and not is_host(value):
                yield f"{value_text(value)} of {shown(op)} is no host value"
            if wanted is not None and not isinstance(value.type, wanted):
                kind = "contexts" if wanted is BranchesType else "a context"
                yield f"{value_text(value)} of {shown(op)} is not {kind}"


def paths_of_ints(op: Op) -> Iterator[str]:
    for value in graph.path_values(op):
        if not isinstance(value.type, IntType):
            yield f"{value_text(value)} in the path of {shown(op)} is no int"


def expressions_closed(op: Op) -> Iterator[str]:
    """Host expressions use operands that are there, names that are bound and known functions."""
    if isinstance(op, ops.Let):
        for problem in expression_problems(op.expr, len(op.operands)):
            yield f"{problem} in {shown(op)}"


def defaults_closed(function: Function) -> Iterator[str]:
    """So do the defaults of parameters, without operands."""
    for param in function.params:
        if param.default is not None:
            for problem in expression_problems(param.default, 0):
                yield f"{problem} in the default of {value_text(param.value)}"


def expression_problems(expr: e.Expr, num_operands: int) -> Iterator[str]:
    for part in subexpressions(expr):
        match part:
            case e.Operand(index) if not 0 <= index < num_operands:
                yield f"operand {index} is not there"
            case e.Call(function) if function not in FUNCTIONS:
                yield f"`{function}` is no built-in function"
            case e.Binary(op) if op not in BINARY:
                yield f"`{op}` is no operator"
            case e.Unary(op) if op not in UNARY:
                yield f"`{op}` is no operator"
            case e.Const(float() as number) if not math.isfinite(number):
                yield f"{number} is no value"
    yield from _unbound(expr, frozenset())


def _unbound(expr: e.Expr, bound: frozenset[str]) -> Iterator[str]:
    if isinstance(expr, e.Local):
        if expr.name not in bound:
            yield f"`{expr.name}` is not bound"
    elif isinstance(expr, e.Comprehension):
        for clause in expr.clauses:
            yield from _unbound(clause.items, bound)
            bound |= frozenset(clause.targets)
            for test in clause.tests:
                yield from _unbound(test, bound)
        for part in (expr.key, expr.element):
            if part is not None:
                yield from _unbound(part, bound)
    else:
        for part in parts(expr):
            yield from _unbound(part, bound)


def known_metas(op: Op) -> Iterator[str]:
    """Metas and methods are those of the language; each meta and each option stands once."""
    if isinstance(op, ops.Gen) and len(dict(op.options)) != len(op.options):
        yield f"an option stands twice in {shown(op)}"
    if isinstance(op, ops.Gen | ops.Select):
        known = GEN_METAS if isinstance(op, ops.Gen) else SELECT_METAS
        names = [name for name, _ in op.metas]
        if len(set(names)) != len(names) or not set(names) <= set(known):
            yield f"unknown or repeated metas in {shown(op)}"
    if isinstance(op, ops.Select) and op.method not in SELECT_METHODS:
        yield f"`{op.method}` is no method of select"
