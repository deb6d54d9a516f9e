"""Type expressions: from what the author wrote to types, with every refinement validated.

Law: each TypeExpr that was resolved has an entry in `tables.types`; one that is wrong is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sglc.compiler import declaration, syntax
from sglc.compiler.check import patterns, relations
from sglc.compiler.check.builtins import TYPE_NAMES
from sglc.compiler.check.declarations import kind_of
from sglc.compiler.check.foreign_types import spelled_here
from sglc.compiler.check.modules import Module
from sglc.compiler.check.tables import Known, Tables
from sglc.compiler.diagnostics import nearest
from sglc.ir.host.expr import Value
from sglc.ir.span import Source
from sglc.ir.types import (
    BOOL,
    IMAGE,
    JSON,
    UNKNOWN,
    FloatType,
    IntType,
    ListType,
    Literal,
    LiteralType,
    RecordType,
    StrType,
    Type,
)

# the named refinements of each type
_REFINEMENTS = {
    "str": ("min_length", "max_length", "pattern"),
    "list": ("min_items", "max_items"),
}
# the value of a constant expression of a file, or None with the error reported
ConstValue = Callable[[syntax.Expr, Module], Known | None]


@dataclass(slots=True)
class Types:
    """Resolves type expressions; declared types once each."""

    tables: Tables
    sources: Sequence[Source]
    const_value: ConstValue
    _declared: dict[syntax.Node, Type] = field(default_factory=dict)
    _open: list[declaration.RecordDecl | declaration.AliasDecl] = field(default_factory=list)

    def resolve(self, expr: syntax.TypeExpr, module: Module) -> Type:
        found = self._resolve(expr, module)
        self.tables.types[expr] = found
        return found

    def declared(
        self, decl: declaration.RecordDecl | declaration.AliasDecl, at: syntax.Node
    ) -> Type:
        """The type that a declaration means; `at` is where it is asked for."""
        if decl in self._declared:
            return self._declared[decl]
        if decl in self._open:
            self._report_cycle(decl, at)
            return UNKNOWN
        self._open.append(decl)
        module = self.tables.homes[decl]
        if isinstance(decl, declaration.AliasDecl):
            found = self.resolve(decl.type, module)
        else:
            found = self._record(decl, module)
        self._open.pop()
        self._declared[decl] = found
        return found

    def _resolve(self, expr: syntax.TypeExpr, module: Module) -> Type:
        match expr:
            case syntax.OptionalType(item=item):
                return relations.optional(self.resolve(item, module))
            case syntax.UnionType():
                return self._union(expr)
            case syntax.NamedType():
                return self._named(expr, module)

    def _named(self, expr: syntax.NamedType, module: Module) -> Type:
        name = expr.name.text
        if name == "list":
            return self._list(expr, module)
        if expr.item is not None:
            message = f"`{name}` takes no item type"
            help = spelled_here(name)
            self._error("E0313", message, expr.item, "only `list` does", help=help)
            return UNKNOWN
        match name:
            case "str":
                return self._str(expr, module)
            case "int" | "float":
                return self._number(expr, module)
        if expr.args:
            message = f"`{name}` takes no refinement"
            self._error("E0313", message, expr.args[0], "only str, int, float and list do")
        match name:
            case "bool":
                return BOOL
            case "json":
                return JSON
            case "image":
                self._check_vision(expr)
                return IMAGE
        return self._by_name(expr.name, module)

    def _by_name(self, name: syntax.Identifier, module: Module) -> Type:
        found = module.find(name.text)
        if found is None:
            if not module.is_partial:
                candidates = [n for n, d in module.names.items() if kind_of(d.decl) == "a type"]
                near = nearest(name.text, [*candidates, *TYPE_NAMES])
                help = spelled_here(name.text) or (f"did you mean `{near}`?" if near else None)
                message = f"there is no type `{name.text}`"
                self._error("E0212", message, name, "not found", help=help)
            return UNKNOWN
        self.tables.used.update(n for n in (found.decl, found.via) if n is not None)
        if isinstance(found.decl, declaration.RecordDecl | declaration.AliasDecl):
            return self.declared(found.decl, name)
        message = f"`{name.text}` is {kind_of(found.decl)}, not a type"
        self._error("E0208", message, name, "a type is wanted here")
        return UNKNOWN

    def _record(self, decl: declaration.RecordDecl, module: Module) -> Type:
        fields: dict[str, Type] = {}
        places: dict[str, syntax.Node] = {}
        for item in decl.fields:
            name = item.name.text
            found = self.resolve(item.type, module)
            if name in fields:
                self.tables.report.error(
                    "E0201",
                    f"`{decl.name.text}` has two fields `{name}`",
                    item.name,
                    "declared again",
                    secondary=((places[name], "first here"),),
                )
            else:
                fields[name], places[name] = found, item.name
        return RecordType(decl.name.text, tuple(fields.items()))

    def _list(self, expr: syntax.NamedType, module: Module) -> Type:
        if expr.item is None:
            help = "say of what: `list[str]`"
            self._error("E0313", "`list` needs an item type", expr, "a list of what?", help=help)
            return ListType(UNKNOWN)
        item = self.resolve(expr.item, module)
        bounds = self._refinements(expr, module)
        low, high = self._counts(expr, bounds, "min_items", "max_items")
        return ListType(item, low, high)

    def _str(self, expr: syntax.NamedType, module: Module) -> Type:
        bounds = self._refinements(expr, module)
        low, high = self._counts(expr, bounds, "min_length", "max_length")
        pattern = bounds.get("pattern")
        if pattern is None:
            return StrType(low, high)
        node, value = pattern
        if not isinstance(value, str):
            self._error("E0313", "a `pattern` is a str", node, f"found `{value}`")
            return StrType(low, high)
        if not patterns.check_regex(value, node, self.tables.report, self.sources, "pattern"):
            return StrType(low, high)
        return StrType(low, high, value)

    def _number(self, expr: syntax.NamedType, module: Module) -> Type:
        name = expr.name.text
        low = high = None
        for arg in expr.args:
            if isinstance(arg, syntax.Keyword):
                help = f"write the range as `{name}(0..10)`"
                message = f"`{name}` takes a range, not `{arg.name.text}=`"
                self._error("E0313", message, arg, "not a range", help=help)
                continue
            low, high = self._end(arg.low, name, module), self._end(arg.high, name, module)
            if low is not None and high is not None and low > high:
                message = f"the range {low}..{high} holds no number"
                self._error("E0313", message, arg, "the first end is above the second")
                low = high = None
        if name == "float":
            return FloatType(low, high)
        return IntType(low if low is None else int(low), high if high is None else int(high))

    def _end(self, expr: syntax.Expr | None, name: str, module: Module) -> float | None:
        known = None if expr is None else self.const_value(expr, module)
        if expr is None or known is None:
            return None
        value = known.value
        wanted = int if name == "int" else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            article = "an" if name == "int" else "a"
            self._error(
                "E0313",
                f"the ends of this range are {article} {name} each",
                expr,
                f"found `{value}`",
            )
            return None
        assert isinstance(value, int | float)
        return value

    def _refinements(
        self, expr: syntax.NamedType, module: Module
    ) -> dict[str, tuple[syntax.Expr, Value]]:
        """The named refinements with their values; wrong ones are reported and left out."""
        allowed = _REFINEMENTS[expr.name.text]
        found: dict[str, tuple[syntax.Expr, Value]] = {}
        for arg in expr.args:
            listed = ", ".join(f"`{name}=`" for name in allowed)
            if isinstance(arg, syntax.RangeArg):
                message = f"`{expr.name.text}` takes no range"
                self._error(
                    "E0313", message, arg, "not a refinement of it", help=f"it takes {listed}"
                )
            elif arg.name.text not in allowed:
                near = nearest(arg.name.text, allowed)
                help = f"did you mean `{near}`?" if near else f"it takes {listed}"
                message = f"`{expr.name.text}` has no refinement `{arg.name.text}`"
                self._error("E0313", message, arg.name, "unknown", help=help)
            elif arg.name.text in found:
                self._error("E0313", f"`{arg.name.text}` is given twice", arg, "again")
            else:
                known = self.const_value(arg.value, module)
                if known is not None:
                    found[arg.name.text] = arg.value, known.value
        return found

    def _counts(
        self,
        expr: syntax.NamedType,
        bounds: dict[str, tuple[syntax.Expr, Value]],
        low_name: str,
        high_name: str,
    ) -> tuple[int | None, int | None]:
        ends: list[int | None] = []
        for name in (low_name, high_name):
            node, value = bounds.get(name, (expr, None))
            if value is None or (isinstance(value, int) and type(value) is int and value >= 0):
                ends.append(value)
            else:
                self._error("E0313", f"`{name}` is an int of 0 or more", node, f"found `{value}`")
                ends.append(None)
        low, high = ends
        if low is not None and high is not None and low > high:
            message = f"`{low_name}` is above `{high_name}`"
            self._error("E0313", message, expr, f"no value has {low} to {high}")
            return None, None
        return low, high

    def _union(self, expr: syntax.UnionType) -> Type:
        values: list[Literal] = []
        for member in expr.members:
            value = _literal(member)
            if value is None:
                help = "for a value that may be null write `T?`"
                is_null = isinstance(member, syntax.Literal)
                message = "a union is of literals: str, int, float, true or false"
                self._error("E0314", message, member, "not one", help=help if is_null else None)
            elif any(type(v) is type(value) and v == value for v in values):
                self._error("E0314", "this literal is in the union twice", member, "again")
            else:
                values.append(value)
        return LiteralType(tuple(values)) if values else UNKNOWN

    def _check_vision(self, expr: syntax.NamedType) -> None:
        spec = self.tables.spec
        if spec is not None and not spec.sees_images:
            self._error(
                "E0703",
                f"the model `{spec.identity.reference}` cannot see images",
                expr,
                "needs a model with a vision tower",
                help="compile for a vision model, or pass a description as `str`",
            )

    def _report_cycle(
        self, decl: declaration.RecordDecl | declaration.AliasDecl, at: syntax.Node
    ) -> None:
        cycle = [*self._open[self._open.index(decl) :], decl]
        names = " -> ".join(f"`{d.name.text}`" for d in cycle)
        message = f"the type `{decl.name.text}` contains itself: {names}"
        self._error("E0211", message, at, "a type cannot contain itself")

    def _error(
        self, code: str, message: str, at: syntax.Node, label: str = "", *, help: str | None = None
    ) -> None:
        self.tables.report.error(code, message, at, label, help=help)


def _literal(member: syntax.TypeExpr | syntax.Literal | syntax.String) -> Literal | None:
    match member:
        case syntax.Literal(value=value):
            return value
        case syntax.String(parts=()):
            return ""
        case syntax.String(parts=(str(text),)):
            return text
    return None
