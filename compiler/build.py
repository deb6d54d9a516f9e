"""Declarations, types and statements: from the grammar's tree to nodes, one method a rule.

Law: the span of a node is what was written; that of a statement with a block is its header.
Knows nothing about recovery: it sees only text that parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lark import Token, Tree

from sglc.compiler import declaration, syntax
from sglc.compiler.build_expression import ExpressionBuilder, Group, offsets
from sglc.compiler.diagnostics import Diagnostic, error
from sglc.compiler.source import SourceText
from sglc.compiler.strings import open_docstring
from sglc.ir.span import Span

MAX_DEPTH = 100  # of nested blocks and expressions: later stages walk the nodes recursively

# rules whose children are the fields of a node, in order
PLAIN: dict[str, type[syntax.Node]] = {
    "import_file": declaration.Import,
    "const": declaration.Const,
    "alias": declaration.AliasDecl,
    "param": declaration.Param,
    "record_field": declaration.RecordField,
    "optional_type": syntax.OptionalType,
    "range_arg": syntax.RangeArg,
    "join": syntax.Join,
    "let": syntax.Let,
    "require": syntax.Require,
    "return": syntax.Return,
    "break": syntax.Break,
    "continue": syntax.Continue,
    "pass": syntax.Pass,
}
REFINEMENTS = frozenset({"min_length", "max_length", "pattern", "min_items", "max_items"})
SELECT_OPTIONS = frozenset({"method", "temperature"})


@dataclass(frozen=True, slots=True)
class _Body:
    """A block, or the fields of a record; `colon` is where the header before it ends."""

    colon: Span
    items: tuple[Any, ...]


def build(source: SourceText, tree: Tree[Token], diagnostics: list[Diagnostic]) -> Any:
    """The node of `tree`; what is wrong with it is added to `diagnostics`."""
    deep = _too_deep(tree)
    if deep is not None:
        start, end = deep.meta.start_pos, deep.meta.end_pos
        message = f"nested more than {MAX_DEPTH} levels deep"
        help = "name a part with `let` or `const`, or move it into a `def`"
        diagnostics.append(source.error("E0119", message, start, end, help=help))
        return None
    return _Builder(source, diagnostics).build(tree)


def _too_deep(tree: Tree[Token]) -> Tree[Token] | None:
    """The first subtree in reading order that lies deeper than MAX_DEPTH."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [c for t in level for c in t.children if isinstance(c, Tree)]
    return level[0] if level else None


class _Builder(ExpressionBuilder):
    plain: ClassVar = {**ExpressionBuilder.plain, **PLAIN}

    def __init__(self, source: SourceText, diagnostics: list[Diagnostic]) -> None:
        super().__init__(source, diagnostics)
        # types that may be options in disguise: `gen x: str (stop="a")` reads as a refinement
        self.bare: dict[syntax.Node, tuple[syntax.NamedType, tuple[syntax.Keyword, ...]]] = {}

    # ------------------------------------------------------------ declarations

    def on_chunk(self, span: Span, *decls: declaration.Decl) -> declaration.File:
        return self.on_file(span, None, *decls)

    def on_file(
        self, span: Span | None, doc: str | None, *decls: declaration.Decl
    ) -> declaration.File:
        return declaration.File(span or self.source.span(0, 0), doc, decls)

    def on_docstring(self, span: Span, token: Token) -> str:
        text, faults = open_docstring(self.source, *offsets(token))
        self.diagnostics += faults
        return text

    def on_extern(
        self,
        span: Span,
        pure: Token | None,
        name: syntax.Identifier,
        params: tuple[declaration.Param, ...],
        result: syntax.TypeExpr | None,
        options: Group | None,
    ) -> declaration.Extern:
        result, keywords = self._split(result, options)
        return declaration.Extern(span, name, params, result, keywords, pure is not None)

    def on_fragment(
        self,
        span: Span,
        name: syntax.Identifier,
        params: tuple[declaration.Param, ...],
        result: syntax.TypeExpr | None,
        body: _Body,
    ) -> declaration.Fragment:
        return declaration.Fragment(span.to(body.colon), name, params, result, body.items)

    def on_program(
        self,
        span: Span,
        name: syntax.Identifier,
        params: tuple[declaration.Param, ...],
        result: syntax.TypeExpr | None,
        body: _Body,
    ) -> declaration.Program:
        return declaration.Program(span.to(body.colon), name, params, result, body.items)

    def on_params(self, span: Span, *params: declaration.Param) -> tuple[declaration.Param, ...]:
        return params

    def on_record(self, span: Span, name: syntax.Identifier, body: _Body) -> declaration.RecordDecl:
        return declaration.RecordDecl(span.to(body.colon), name, body.items)

    def on_fields(self, span: Span, *fields: declaration.RecordField) -> _Body:
        return _Body(_first_character(span), fields)

    # ------------------------------------------------------------ types

    def on_type(self, span: Span, *members: Any) -> syntax.TypeExpr:
        if len(members) == 1 and not isinstance(members[0], syntax.Literal | syntax.String):
            return members[0]  # type: ignore[no-any-return]
        return syntax.UnionType(span, members)

    def on_type_name(self, span: Span, *parts: syntax.Identifier) -> syntax.Identifier:
        return syntax.Identifier(span, ".".join(part.text for part in parts))

    def on_bare_type(
        self, span: Span, name: syntax.Identifier, item: syntax.TypeExpr | None
    ) -> syntax.NamedType:
        return syntax.NamedType(span, name, item, ())

    def on_named_type(
        self, span: Span, bare: syntax.NamedType, refinement: Group | None
    ) -> syntax.NamedType:
        if refinement is None:
            return bare
        args = refinement.items
        node = syntax.NamedType(span, bare.name, bare.item, args)
        keywords = tuple(arg for arg in args if isinstance(arg, syntax.Keyword))
        if keywords == args and not any(arg.name.text in REFINEMENTS for arg in keywords):
            self.bare[node] = bare, keywords
        return node

    def on_refinement(self, span: Span, *args: Any) -> Group:
        return Group(span, args)

    def on_negative(self, span: Span, minus: Token, number: Token) -> syntax.Literal:
        literal = self.on_literal(span, number)
        assert isinstance(literal.value, int | float)
        return syntax.Literal(span, -literal.value)

    def _split(
        self, type_: syntax.TypeExpr | None, options: Group | None
    ) -> tuple[syntax.TypeExpr | None, tuple[syntax.Keyword, ...]]:
        """A type and the options behind it. A first group in parentheses is the type's only when it
        holds a range or the name of a refinement."""
        if options is None and type_ in self.bare:
            return self.bare[type_]
        return type_, options.items if options else ()

    # ------------------------------------------------------------ statements

    def on_body(self, span: Span, *statements: syntax.Stmt) -> _Body:
        return _Body(_first_character(span), statements)

    def on_broken(self, span: Span, *rest: Any) -> syntax.Pass:
        return syntax.Pass(span)

    def on_evaluate(self, span: Span, value: syntax.Expr) -> syntax.Stmt:
        if isinstance(value, syntax.String):
            return syntax.Text(span, value)
        return syntax.Evaluate(span, value)

    def on_assign(self, span: Span, target: syntax.Expr, value: syntax.Expr) -> syntax.Assign:
        if not isinstance(target, syntax.Name):
            message = "only a name can be assigned"
            help = "values do not change: bind a name to a new one"
            self.diagnostics.append(error("E0111", message, target.span, help=help))
            return syntax.Assign(span, syntax.Identifier(target.span, ""), value)
        return syntax.Assign(span, syntax.Identifier(target.span, target.text), value)

    def on_role_text(
        self, span: Span, role: syntax.Identifier, value: syntax.String
    ) -> syntax.Role:
        return syntax.Role(span, role, (syntax.Text(value.span, value),))

    def on_role(self, span: Span, role: syntax.Identifier, body: _Body) -> syntax.Role:
        return syntax.Role(span.to(body.colon), role, body.items)

    def on_gen(
        self,
        span: Span,
        name: syntax.Identifier | None,
        type_: syntax.TypeExpr | None,
        options: Group | None,
    ) -> syntax.Gen:
        return syntax.Gen(span, name, *self._split(type_, options))

    def on_select(
        self, span: Span, name: syntax.Identifier | None, choices: syntax.Expr
    ) -> syntax.Select:
        # `select x from xs (method="...")` has read its options as a call of the choices
        if isinstance(choices, syntax.Call) and not choices.args and choices.keywords:
            called, options = choices.function, choices.keywords
            is_name = isinstance(called, syntax.Name | syntax.Attribute)
            if not is_name or {option.name.text for option in options} <= SELECT_OPTIONS:
                return syntax.Select(span, name, called, options)
        return syntax.Select(span, name, choices, ())

    def on_options(self, span: Span, *keywords: syntax.Keyword) -> Group:
        return Group(span, keywords)

    def on_defaults(self, span: Span, *keywords: syntax.Keyword) -> syntax.Defaults:
        return syntax.Defaults(span, keywords)

    def on_fork(
        self,
        span: Span,
        item: syntax.Identifier | None,
        items: syntax.Expr,
        group: syntax.Identifier,
        body: _Body,
    ) -> syntax.Fork:
        return syntax.Fork(span.to(body.colon), item, items, group, body.items)

    def on_capture(self, span: Span, name: syntax.Identifier, body: _Body) -> syntax.Capture:
        return syntax.Capture(span.to(body.colon), name, body.items)

    def on_reasoning(self, span: Span, name: syntax.Identifier, body: _Body) -> syntax.Reasoning:
        return syntax.Reasoning(span.to(body.colon), name, body.items)

    def on_any_order(self, span: Span, body: _Body) -> syntax.AnyOrder:
        return syntax.AnyOrder(span.to(body.colon), body.items)

    def on_if(self, span: Span, *parts: Any) -> syntax.If:
        *arms, otherwise = parts
        pairs = list(zip(arms[::2], arms[1::2], strict=True))
        return syntax.If(
            span.to(pairs[0][1].colon),
            tuple((test, body.items) for test, body in pairs),
            None if otherwise is None else otherwise.items,
        )

    def on_else_arm(self, span: Span, body: _Body) -> _Body:
        return body

    def on_for(
        self,
        span: Span,
        targets: tuple[syntax.Identifier, ...],
        items: syntax.Expr,
        body: _Body,
    ) -> syntax.For:
        return syntax.For(span.to(body.colon), targets, items, body.items)

    def on_targets(self, span: Span, *names: syntax.Identifier) -> tuple[syntax.Identifier, ...]:
        return names

    def on_while(
        self, span: Span, test: syntax.Expr, limit: syntax.Expr | None, body: _Body
    ) -> syntax.While:
        return syntax.While(span.to(body.colon), test, limit, body.items)


def _first_character(span: Span) -> Span:
    return Span(span.file, span.line, span.col, span.line, span.col + 1)
