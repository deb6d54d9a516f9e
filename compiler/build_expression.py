"""Expressions and literals: from the grammar's tree to nodes, one method a rule.

Law: a node says what was written and where. What is wrong inside literals and argument lists is
collected; the node is then a filler, and the file is refused as a whole.
Knows nothing about statements (`build.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from sglc.compiler import syntax
from sglc.compiler.diagnostics import Diagnostic, error
from sglc.compiler.grammar import parse_tree
from sglc.compiler.source import SourceText
from sglc.compiler.strings import Slot, open_string
from sglc.compiler.syntax_errors import explain
from sglc.ir.span import Span

NAMES = frozenset({"NAME", "FIELD", "FORK_ITEM", "ROLE"})  # tokens that become Identifiers


@dataclass(frozen=True, slots=True)
class Group:
    """What stands in parentheses: arguments, options, a refinement."""

    span: Span
    items: tuple[Any, ...]


class ExpressionBuilder:
    """Bottom up: `on_<rule>(span, *children)`, or the class in `plain` whose fields they are."""

    plain: ClassVar[Mapping[str, type[syntax.Node]]] = {
        "keyword": syntax.Keyword,
        "index": syntax.Index,
        "attribute": syntax.Attribute,
    }

    def __init__(self, source: SourceText, diagnostics: list[Diagnostic]) -> None:
        self.source = source
        self.diagnostics = diagnostics

    def build(self, tree: Tree[Token]) -> Any:
        children = [self._child(child) for child in tree.children]
        meta = tree.meta
        span = None if meta.empty else self.source.span(meta.start_pos, meta.end_pos)
        node = self.plain.get(tree.data)
        if node is not None:
            return node(span, *children)  # type: ignore[arg-type]
        return getattr(self, f"on_{tree.data}")(span, *children)

    def _child(self, child: Tree[Token] | Token | None) -> Any:
        if isinstance(child, Tree):
            return self.build(child)
        if isinstance(child, Token) and child.type in NAMES:
            return syntax.Identifier(self.source.span(*offsets(child)), str(child))
        return child

    # ------------------------------------------------------------ expressions

    def on_name(self, span: Span, name: syntax.Identifier) -> syntax.Name:
        return syntax.Name(span, name.text)

    def on_conditional(
        self, span: Span, then: syntax.Expr, test: syntax.Expr, otherwise: syntax.Expr
    ) -> syntax.Conditional:
        return syntax.Conditional(span, test, then, otherwise)

    def on_logic_or(self, span: Span, *values: syntax.Expr) -> syntax.Logic:
        return syntax.Logic(span, "or", values)

    def on_logic_and(self, span: Span, *values: syntax.Expr) -> syntax.Logic:
        return syntax.Logic(span, "and", values)

    def on_compare(self, span: Span, *parts: Any) -> syntax.Compare:
        return syntax.Compare(span, parts[1::2], parts[::2])

    def on_compare_op(self, span: Span, *words: Token) -> str:
        return " ".join(words)

    def on_unary(self, span: Span, op: Token, value: syntax.Expr) -> syntax.Unary:
        return syntax.Unary(span, str(op), value)

    def on_binary(
        self, span: Span, left: syntax.Expr, op: Token, right: syntax.Expr
    ) -> syntax.Binary:
        return syntax.Binary(span, str(op), left, right)

    def on_slice(self, span: Span, value: syntax.Expr, bounds: Iterable[Any]) -> syntax.Slice:
        return syntax.Slice(span, value, *bounds)

    def on_slice_bounds(self, span: Span, *bounds: syntax.Expr | None) -> tuple[Any, ...]:
        return bounds

    def on_call(self, span: Span, function: syntax.Expr, arguments: Group) -> syntax.Call:
        keywords = tuple(a for a in arguments.items if isinstance(a, syntax.Keyword))
        args = tuple(a for a in arguments.items if not isinstance(a, syntax.Keyword))
        if arguments.items[: len(args)] != args:
            first = arguments.items.index(keywords[0])
            late = next(a for a in arguments.items[first:] if a in args)
            message = "a positional argument after a keyword argument"
            help = "put the arguments without a name first"
            self.diagnostics.append(error("E0123", message, late.span, help=help))
        if isinstance(function, syntax.Name) and function.text in ("gen", "select"):
            message = f"`{function.text}` is a statement, not a function"
            help = f"write `{function.text} name ...` in a line of its own: it binds `name`"
            self.diagnostics.append(error("E0118", message, function.span, help=help))
        return syntax.Call(span, function, args, keywords)

    def on_arguments(self, span: Span | None, *arguments: Any) -> Group:
        return Group(span or self.source.span(0, 0), arguments)

    def on_generator(self, span: Span, element: syntax.Expr, *clauses: syntax.ForClause) -> Group:
        return Group(span, (syntax.Comprehension(span, None, element, clauses),))

    def on_run(self, span: Span, function: syntax.Expr, arguments: Group) -> syntax.Run:
        return syntax.Run(span, self.on_call(function.span.to(span), function, arguments))

    def on_list_literal(self, span: Span, *items: syntax.Expr) -> syntax.ListLiteral:
        return syntax.ListLiteral(span, items)

    def on_dict_literal(self, span: Span, *items: Any) -> syntax.DictLiteral:
        return syntax.DictLiteral(span, items)

    def on_dict_item(self, span: Span, *item: syntax.Expr) -> tuple[syntax.Expr, ...]:
        return item

    def on_list_comprehension(
        self, span: Span, element: syntax.Expr, *clauses: syntax.ForClause
    ) -> syntax.Comprehension:
        return syntax.Comprehension(span, None, element, clauses)

    def on_dict_comprehension(
        self, span: Span, key: syntax.Expr, element: syntax.Expr, *clauses: syntax.ForClause
    ) -> syntax.Comprehension:
        return syntax.Comprehension(span, key, element, clauses)

    def on_for_clause(
        self,
        span: Span,
        targets: tuple[syntax.Identifier, ...],
        items: syntax.Expr,
        *tests: syntax.Expr,
    ) -> syntax.ForClause:
        return syntax.ForClause(span, targets, items, tests)

    # ------------------------------------------------------------ literals

    def on_literal(self, span: Span, token: Token) -> syntax.Literal:
        if token.type == "NUMBER":
            return syntax.Literal(span, self._number(token))
        return syntax.Literal(span, {"TRUE": True, "FALSE": False, "NULL": None}[token.type])

    def _number(self, token: Token) -> int | float:
        text = token.lower()
        is_float = not text.startswith(("0x", "0o", "0b")) and any(c in text for c in ".e")
        try:
            value = float(text) if is_float else int(text, 0)
            if math.isfinite(value):
                return value
            why = "a float64 cannot hold it"
        except ValueError:
            why = "drop the leading zeros" if text.isdigit() else "write 12, 1.5, 1e-3 or 0xff"
            if len(text) > MAX_DIGITS:
                why = f"a number has at most {MAX_DIGITS} digits"
        except OverflowError:
            why = "a float64 cannot hold it"
        self._report("E0117", f"`{_short(token)}` is no number", *offsets(token), help=why)
        return 0

    def on_string(self, span: Span, token: Token) -> syntax.String:
        opened = open_string(self.source, *offsets(token))
        self.diagnostics += opened.faults
        parts = tuple(self._slot(p) if isinstance(p, Slot) else p for p in opened.parts)
        return syntax.String(span, parts, opened.is_raw)

    def _slot(self, slot: Slot) -> syntax.Interpolation:
        span = self.source.span(slot.start, slot.end)
        value: syntax.Expr = syntax.Literal(span, None)
        text = self.source.text
        if not text[slot.start + 1 : slot.stop].strip():
            message = "nothing to interpolate between `{` and `}`"
            help = "write `{{}}` for braces, `{name}` for a value"
            self._report("E0108", message, slot.start, slot.end, help=help)
            return syntax.Interpolation(span, value, slot.format_spec)
        end = slot.end if text[slot.stop] == "}" else slot.stop
        try:
            tree = parse_tree(text, "interpolation", slot.start, end)
        except UnexpectedInput as failure:
            self.diagnostics.append(explain(self.source, failure))
        else:
            value = self.build(tree)
        return syntax.Interpolation(span, value, slot.format_spec)

    def on_interpolation(self, span: Span, value: syntax.Expr) -> syntax.Expr:
        return value

    def _report(self, code: str, message: str, start: int, end: int, *, help: str) -> None:
        self.diagnostics.append(self.source.error(code, message, start, end, help=help))


MAX_DIGITS = 4300  # what Python converts; also more than any use


def offsets(token: Token) -> tuple[int, int]:
    """Where a token begins and ends in the source, in characters."""
    assert token.start_pos is not None and token.end_pos is not None
    return token.start_pos, token.end_pos


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}..."
