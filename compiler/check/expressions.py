"""The types of expressions, inferred from the leaves up.

Law: every expression that was looked at has an entry in `tables.types`; what is wrong is reported
once and unknown from there on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import declaration, syntax
from sglc.compiler.check import narrowing, operators, relations
from sglc.compiler.check.attributes import attribute_type
from sglc.compiler.check.calls import call_type, run_type
from sglc.compiler.check.comparisons import comparison_type
from sglc.compiler.check.declarations import kind_of
from sglc.compiler.check.formats import format_problem
from sglc.compiler.check.scope import Scope
from sglc.ir.types import (
    INT,
    JSON,
    NULL,
    STR,
    UNKNOWN,
    ListType,
    LiteralType,
    NullType,
    OptionalType,
    TupleType,
    Type,
)

if TYPE_CHECKING:
    from sglc.compiler.check.consts import Consts
    from sglc.compiler.check.functions import Functions
    from sglc.compiler.check.type_exprs import Types


class Expressions:
    """Infers types within one scope. `appending` is the one call that may append where it stands;
    `specials` the `special()` calls that stand directly in appended text."""

    def __init__(self, scope: Scope, consts: Consts, types: Types, functions: Functions) -> None:
        self.scope = scope
        self.tables = scope.tables
        self.report = scope.tables.report
        self.consts = consts
        self.types = types
        self.functions = functions
        self.appending: syntax.Expr | None = None
        self.specials: set[syntax.Node] = set()

    def infer(self, expr: syntax.Expr) -> Type:
        found = self._infer(expr)
        self.tables.types[expr] = found
        return found

    def infer_value(self, expr: syntax.Expr) -> Type:
        """The same where a fragment may be called: as a whole statement's value."""
        self.appending = expr
        return self.infer(expr)

    def item_type(self, items: syntax.Expr, what: str) -> Type:
        """The type of what going through `items` yields."""
        found = self.infer(items)
        item = relations.item_of(found)
        if item is None:
            help = self.null_help(items)
            if found == INT:
                help = "to count, go through `range(...)`"
            message = f"cannot go through a value of type `{found}`"
            self.report.error("E0304", message, items, f"{what} needs a list", help=help)
            return UNKNOWN
        return item

    def unpacked(self, targets: tuple[syntax.Identifier, ...], item: Type) -> list[Type]:
        """The types of the targets of a `for`; several take an item apart."""
        if len(targets) == 1:
            return [item]
        if isinstance(item, TupleType):
            if len(item.items) == len(targets):
                return list(item.items)
            self.report.error(
                "E0305",
                f"{len(targets)} names for items of {len(item.items)} values each",
                targets[0].span.to(targets[-1].span),
                f"an item is `{item}`",
            )
            return [UNKNOWN] * len(targets)
        inner = relations.item_of(item)
        if inner is None or relations.base(item) == STR:
            self.report.error(
                "E0305",
                f"{len(targets)} names, but an item is one `{item}`",
                targets[0].span.to(targets[-1].span),
                "cannot be taken apart",
            )
            return [UNKNOWN] * len(targets)
        return [inner] * len(targets)

    def infer_arguments(self, call: syntax.Call) -> None:
        for arg in call.args:
            self.infer(arg)
        for keyword in call.keywords:
            self.infer(keyword.value)

    # ------------------------------------------------------------ by node

    def _infer(self, expr: syntax.Expr) -> Type:
        match expr:
            case syntax.Name():
                return self._name(expr)
            case syntax.Literal(value=value):
                return relations.value_type(value)
            case syntax.String():
                return self.string(expr)
            case syntax.ListLiteral(items=items):
                return ListType(relations.join_all([self.infer(item) for item in items]))
            case syntax.DictLiteral():
                return self._dict(expr)
            case syntax.Unary():
                return self._unary(expr)
            case syntax.Binary():
                return self._binary(expr)
            case syntax.Compare():
                return comparison_type(self, expr)
            case syntax.Logic():
                return self._logic(expr)
            case syntax.Conditional():
                return self._conditional(expr)
            case syntax.Index():
                return self._index(expr)
            case syntax.Slice():
                return self._slice(expr)
            case syntax.Attribute():
                return attribute_type(self, expr)
            case syntax.Call():
                return call_type(self, expr)
            case syntax.Run():
                return run_type(self, expr)
            case syntax.Comprehension():
                return self._comprehension(expr)

    def _name(self, expr: syntax.Name) -> Type:
        local = self.scope.local(expr.text)
        if local is not None:
            return self.scope.here.narrowed.get(expr.text, local)
        found = self.scope.variable(expr)
        if found is not None:
            return found
        return self.declared_value(expr, expr.text)

    def declared_value(self, expr: syntax.Name | syntax.Attribute, name: str) -> Type:
        """The type of a const, by `name` or `module.name`; anything else is no value."""
        module = self.scope.module
        found = module.find(name)
        if found is None:
            self._report_no_value(expr, name)
            return UNKNOWN
        self.tables.used.update(n for n in (found.decl, found.via) if n is not None)
        if isinstance(found.decl, declaration.Const):
            return self.consts.read(found.decl, expr)
        what = kind_of(found.decl)
        help = None
        if isinstance(found.decl, declaration.Fragment):
            help = f"call it: `{name}(...)`, or `run {name}(...)`"
        elif isinstance(found.decl, declaration.Extern):
            help = f"call it: `{name}(...)`"
        self.report.error(
            "E0208", f"`{name}` is {what}, not a value", expr, "used as a value", help=help
        )
        return UNKNOWN

    def _report_no_value(self, expr: syntax.Name | syntax.Attribute, name: str) -> None:
        if isinstance(expr, syntax.Name):
            if name in self.scope.module.aliases:
                message = f"`{name}` is an imported file, not a value"
                self.report.error(
                    "E0208", message, expr, help=f"name what you want of it: `{name}.x`"
                )
            else:
                self.scope.report_undefined(expr)

    def string(self, expr: syntax.String) -> Type:
        for part in expr.parts:
            if isinstance(part, syntax.Interpolation):
                found = self.infer(part.value)
                problem = format_problem(found, part.format_spec)
                if problem:
                    message = (
                        f"the format `:{part.format_spec}` does not suit a value of type `{found}`"
                    )
                    self.report.error("E0309", message, part, problem)
        return STR

    def _dict(self, expr: syntax.DictLiteral) -> Type:
        seen: dict[str, syntax.Expr] = {}
        for key, value in expr.items:
            found = self.infer(key)
            self.infer(value)
            if not relations.assignable(found, STR) and found != JSON:
                self.report.error("E0301", "the keys of a dict are str", key, f"found `{found}`")
            match key:
                case syntax.String(parts=(str(text),)):
                    if text in seen:
                        self.report.error(
                            "E0201",
                            f'this dict has the key "{text}" twice',
                            key,
                            "again",
                            secondary=((seen[text], "first here"),),
                        )
                    seen.setdefault(text, key)
        return JSON

    def _unary(self, expr: syntax.Unary) -> Type:
        found = self.infer(expr.value)
        result = operators.unary(expr.op, found)
        if result is None:
            message = f"`{expr.op}` does not take a value of type `{found}`"
            self.report.error("E0302", message, expr, help=self.null_help(expr.value))
            return UNKNOWN
        return result

    def _binary(self, expr: syntax.Binary) -> Type:
        left, right = self.infer(expr.left), self.infer(expr.right)
        known = self.consts.known(expr.right) if expr.op == "**" else None
        if known is not None and isinstance(known.value, int | float):
            right = LiteralType((known.value,))
        result = operators.binary(expr.op, left, right)
        if result is not None:
            return result
        help = self.null_help(expr.left) or self.null_help(expr.right)
        bases = relations.base(left), relations.base(right)
        if help is None and STR in bases and expr.op == "+":
            help = 'build text with a template: `"{a}{b}"`, or convert with `str(...)`'
        elif help is None and STR in bases and expr.op == "%":
            help = 'format with a template: `"{x:.2f}"`'
        message = f"`{expr.op}` does not take `{left}` and `{right}`"
        self.report.error("E0302", message, expr, help=help)
        return UNKNOWN

    def null_help(self, expr: syntax.Expr) -> str | None:
        found = self.tables.type_of(expr)
        if not isinstance(found, OptionalType | NullType):
            return None
        where = narrowing.path(expr)
        return f"it may be null; test it first: `if {where or 'x'} != null:`"

    def _logic(self, expr: syntax.Logic) -> Type:
        """`and` and `or` yield the operand that decides; later ones know what earlier ones told."""
        facts: narrowing.Facts = {}
        found: list[Type] = []
        for value in expr.values:
            with self.scope.narrowed(facts):
                found.append(self.infer(value))
            facts |= narrowing.facts(value, self.tables.types, expr.op == "and")
        if expr.op == "or":
            found[:-1] = [relations.without_null(t) for t in found[:-1]]
        return relations.join_all(found)

    def _conditional(self, expr: syntax.Conditional) -> Type:
        self.infer(expr.test)
        with self.scope.narrowed(narrowing.facts(expr.test, self.tables.types, True)):
            then = self.infer(expr.then)
        with self.scope.narrowed(narrowing.facts(expr.test, self.tables.types, False)):
            otherwise = self.infer(expr.otherwise)
        return relations.join(then, otherwise)

    def _index(self, expr: syntax.Index) -> Type:
        value, at = self.infer(expr.value), self.infer(expr.index)
        known = self.consts.known(expr.index)
        constant = known.value if known and isinstance(known.value, int | str) else None
        result = operators.index(value, at, constant)
        if result is not None:
            return result
        if isinstance(value, TupleType) and isinstance(constant, int):
            message = f"the index {constant} is out of range: there are {len(value.items)} items"
        else:
            message = f"a value of type `{value}` has no item at a `{at}`"
        self.report.error("E0308", message, expr, help=self.null_help(expr.value))
        return UNKNOWN

    def _slice(self, expr: syntax.Slice) -> Type:
        value = self.infer(expr.value)
        for end in (expr.lower, expr.upper, expr.step):
            if end is not None:
                found = self.infer(end)
                if not relations.assignable(found, INT) and found not in (JSON, NULL):
                    self.report.error(
                        "E0308", "the ends of a slice are int", end, f"found `{found}`"
                    )
        result = operators.slice_of(value)
        if result is None:
            message = f"a value of type `{value}` cannot be sliced"
            self.report.error("E0308", message, expr, help=self.null_help(expr.value))
            return UNKNOWN
        return result

    def _comprehension(self, expr: syntax.Comprehension) -> Type:
        depth = len(self.scope.locals)
        before = self.scope.state
        for clause in expr.clauses:
            item = self.item_type(clause.items, "a comprehension")
            types = self.unpacked(clause.targets, item)
            names = [target.text for target in clause.targets]
            self.scope.locals.append(dict(zip(names, types, strict=True)))
            self._forget_facts(names)
            for test in clause.tests:
                self.infer(test)
                facts = narrowing.facts(test, self.tables.types, True)
                self.scope.state = self.scope.here.narrow(facts)
        if expr.key is not None:
            key = self.infer(expr.key)
            if not relations.assignable(key, STR) and key != JSON:
                self.report.error("E0301", "the keys of a dict are str", expr.key, f"found `{key}`")
        element = self.infer(expr.element)
        del self.scope.locals[depth:]
        self.scope.state = before
        return ListType(element) if expr.key is None else JSON

    def _forget_facts(self, names: list[str]) -> None:
        """What was known of outer names that the comprehension's names hide."""
        here = self.scope.here
        kept = {p: t for p, t in here.narrowed.items() if p.split(".")[0] not in names}
        if len(kept) != len(here.narrowed):
            self.scope.state = type(here)(here.surely, here.maybe, kept)
