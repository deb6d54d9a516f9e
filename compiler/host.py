"""Expressions of the language as host expressions: one translation, used by const evaluation and by
lowering.

What is not computed by the host itself is an operand: a variable, a meta, an extern or fragment
call, a `run`, a `read`. The caller's `operand` says which operand of the op such a node is; equal
names may be given equal operands. Consts are folded in by value.
Law: `to_host` of a checked expression never fails.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Protocol

from sglc.compiler import syntax
from sglc.compiler.checked import Builtin, Callee, Meta
from sglc.ir.host import expr as host
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.ir.types import BranchType, GroupType, RecordType, Type

_LEAVES = frozenset({syntax.Name, syntax.Literal})
# built-ins that no host expression computes: files of consts, and control tokens
NOT_COMPUTED = ("read", "read_json", "special")


class Tables(Protocol):
    """What the translation needs to know of a checked program; `CheckedProgram` has it."""

    @property
    def types(self) -> Mapping[syntax.Node, Type]: ...
    @property
    def callees(self) -> Mapping[syntax.Call, Callee]: ...
    @property
    def consts(self) -> Mapping[syntax.Node, Value]: ...
    @property
    def metas(self) -> Mapping[syntax.Attribute, Meta]: ...


def to_host(
    expr: syntax.Expr,
    tables: Tables,
    operand: Callable[[syntax.Node], int],
    lowered: Container[syntax.Node] = (),
) -> host.Expr:
    """The host expression of `expr`. `operand` is asked for the index of each node that is not
    pure and of each variable, in the order of evaluation; so it is of the nodes in `lowered`,
    whatever they are."""
    return _Translation(tables, operand, lowered, frozenset()).expr(expr)


def is_pure(expr: syntax.Expr, tables: Tables) -> bool:
    """True when nothing inside calls an extern or a fragment, in this context or by `run`."""
    return not any(is_operand_call(node, tables) for node in walk(expr))


def is_operand_call(node: syntax.Node, tables: Tables) -> bool:
    """True of the calls that `to_host` leaves to its caller."""
    if isinstance(node, syntax.Run):
        return True
    if not isinstance(node, syntax.Call):
        return False
    callee = tables.callees.get(node)
    return not isinstance(callee, Builtin) or callee.name in NOT_COMPUTED


def walk(expr: syntax.Expr) -> Iterator[syntax.Expr]:
    """The expression and every expression inside it, outer ones first."""
    waiting = [expr]
    while waiting:
        found = waiting.pop()
        yield found
        if inner := children(found):
            waiting.extend(reversed(inner))


def children(expr: syntax.Expr) -> tuple[syntax.Expr, ...]:
    """The expressions that stand directly in one, in the order of evaluation."""
    if expr.__class__ in _LEAVES:  # more than half of them
        return ()
    match expr:
        case syntax.String(parts=parts):
            return tuple([p.value for p in parts if isinstance(p, syntax.Interpolation)])
        case syntax.ListLiteral(items=items):
            return items
        case syntax.DictLiteral(items=pairs):
            return tuple(side for pair in pairs for side in pair)
        case syntax.Unary(value=value) | syntax.Attribute(value=value):
            return (value,)
        case syntax.Binary(left=left, right=right):
            return (left, right)
        case syntax.Compare(operands=operands):
            return operands
        case syntax.Logic(values=values):
            return values
        case syntax.Conditional(test=test, then=then, otherwise=otherwise):
            return (test, then, otherwise)
        case syntax.Index(value=value, index=index):
            return (value, index)
        case syntax.Slice(value=value, lower=lower, upper=upper, step=step):
            return (value, *(end for end in (lower, upper, step) if end is not None))
        case syntax.Call(args=args, keywords=keywords):
            return (*args, *(keyword.value for keyword in keywords))
        case syntax.Run(call=call):
            return (call,)
        case syntax.Comprehension(key=key, element=element, clauses=clauses):
            inner = [e for clause in clauses for e in (clause.items, *clause.tests)]
            return (*inner, *(() if key is None else (key,)), element)
    return ()


def meta_field(node: syntax.Attribute, types: Mapping[syntax.Node, Type]) -> str | None:
    """For `v.x.tokens` and `g.x.tokens`, where v is a branch and g a group: the field "x.tokens"
    that it reads, or None. A field of a record in x that has the meta's name wins."""
    inner = node.value
    if not isinstance(inner, syntax.Attribute):
        return None
    owner, value = types.get(inner.value), types.get(inner)
    if not isinstance(owner, BranchType | GroupType):
        return None
    if isinstance(value, RecordType) and value.field(node.name.text) is not None:
        return None
    name = f"{inner.name.text}.{node.name.text}"
    return name if owner.field(name) is not None else None


class _Translation:
    """`locals` are the names that comprehensions around the current node bind."""

    def __init__(
        self,
        tables: Tables,
        operand: Callable[[syntax.Node], int],
        lowered: Container[syntax.Node],
        locals: frozenset[str],
    ) -> None:
        self.tables = tables
        self.operand = operand
        self.lowered = lowered
        self.locals = locals

    def expr(self, node: syntax.Expr) -> host.Expr:
        if node in self.lowered:
            return host.Operand(self.operand(node))
        match node:
            case syntax.Name(text=text) if text in self.locals:
                return host.Local(text)
            case syntax.Name() | syntax.Attribute() if node in self.tables.consts:
                return constant(self.tables.consts[node])
            case syntax.Name() | syntax.Run():
                return host.Operand(self.operand(node))
            case syntax.Attribute():
                return self._attribute(node)
            case syntax.Literal(value=value):
                return host.Const(value)
            case syntax.String():
                return self._string(node)
            case syntax.Call():
                return self._call(node)
            case syntax.Comprehension():
                return self._comprehension(node)
            case syntax.Compare():
                return self._compare(node)
            case syntax.ListLiteral(items=items):
                return host.ListOf(self._all(items))
            case syntax.DictLiteral(items=items):
                pairs = tuple((self.expr(key), self.expr(value)) for key, value in items)
                return host.DictOf(pairs, node.span)
            case syntax.Unary(op=op, value=inner):
                return host.Unary(op, self.expr(inner), node.span)
            case syntax.Binary(op=op, left=left, right=right):
                return host.Binary(op, self.expr(left), self.expr(right), node.span)
            case syntax.Logic(op=op, values=values):
                return host.Logic(op, self._all(values))
            case syntax.Conditional(test=test, then=then, otherwise=otherwise):
                return host.Cond(self.expr(test), self.expr(then), self.expr(otherwise))
            case syntax.Index(value=inner, index=index):
                return host.Index(self.expr(inner), self.expr(index), node.span)
            case syntax.Slice(value=inner, lower=lower, upper=upper, step=step):
                lower_, upper_, step_ = (
                    None if end is None else self.expr(end) for end in (lower, upper, step)
                )
                return host.Slice(self.expr(inner), lower_, upper_, step_, node.span)

    def _all(self, nodes: tuple[syntax.Expr, ...]) -> tuple[host.Expr, ...]:
        return tuple(self.expr(node) for node in nodes)

    def _attribute(self, node: syntax.Attribute) -> host.Expr:
        if node in self.tables.metas:
            return host.Operand(self.operand(node))
        meta = meta_field(node, self.tables.types)
        if meta is not None:
            assert isinstance(node.value, syntax.Attribute)
            return host.Field(self.expr(node.value.value), meta, node.span)
        return host.Field(self.expr(node.value), node.name.text, node.span)

    def _string(self, node: syntax.String) -> host.Expr:
        if all(isinstance(part, str) for part in node.parts):
            return host.Const("".join(part for part in node.parts if isinstance(part, str)))
        parts: list[tuple[host.Expr, str | None]] = [
            (host.Const(part), None)
            if isinstance(part, str)
            else (self.expr(part.value), part.format_spec)
            for part in node.parts
        ]
        return host.Format(tuple(parts), node.span)

    def _compare(self, node: syntax.Compare) -> host.Expr:
        """A chain is the conjunction of its links; operands are pure, so those in the middle may
        be written twice."""
        operands = self._all(node.operands)
        links = tuple(
            host.Compare(op, operands[i], operands[i + 1], node.span)
            for i, op in enumerate(node.ops)
        )
        return links[0] if len(links) == 1 else host.Logic("and", links)

    def _call(self, node: syntax.Call) -> host.Expr:
        if is_operand_call(node, self.tables):
            return host.Operand(self.operand(node))
        callee = self.tables.callees[node]
        assert isinstance(callee, Builtin)
        args = self._all(node.args)
        kwargs = tuple((k.name.text, self.expr(k.value)) for k in node.keywords)
        if callee.name == "try":
            values = (*args, *(value for _, value in kwargs))
            return host.Try(values[0], values[1])
        return host.Call(callee.name, args, kwargs, node.span)

    def _comprehension(self, node: syntax.Comprehension) -> host.Expr:
        """Each clause sees the names of the ones before it."""
        inner = self
        clauses = []
        for clause in node.clauses:
            items = inner.expr(clause.items)
            names = tuple(target.text for target in clause.targets)
            inner = _Translation(self.tables, self.operand, self.lowered, inner.locals | set(names))
            tests = inner._all(clause.tests)
            clauses.append(host.Clause(names, items, tests, clause.span))
        key = None if node.key is None else inner.expr(node.key)
        return host.Comprehension(inner.expr(node.element), tuple(clauses), key)


def constant(value: Value) -> host.Expr:
    """A known value as an expression."""
    if isinstance(value, list | dict):
        return host.JsonConst(json_text(value))
    return host.Const(value)
