"""The names of one function: what each is bound to, and whether it is bound at the current point.

Law: a variable has one type in its function. Where bindings differ but agree in kind (two unions
of literals, a value and null, a list that starts empty) the function is checked again with the
type that holds all of them; `hints` carries it over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from sglc.compiler import declaration, syntax
from sglc.compiler.check import flow, relations
from sglc.compiler.check.declarations import kind_of
from sglc.compiler.check.flow import State
from sglc.compiler.check.modules import Module
from sglc.compiler.check.tables import Tables
from sglc.compiler.diagnostics import nearest
from sglc.ir.types import (
    JSON,
    UNKNOWN,
    ListType,
    NullType,
    OptionalType,
    TupleType,
    Type,
    UnknownType,
)

UNUSED = "_"


class Kind(Enum):
    """What bound a name."""

    PARAMETER = "parameter"
    LET = "let"
    GENERATED = "gen"
    ITEM = "loop variable"
    GROUP = "group"
    TEXT = "captured text"


@dataclass(slots=True)
class Variable:
    """`first` is its type where it was bound first; `branch_of` the group of the fork in whose
    branches the name lives, if it lives there."""

    type: Type
    first: Type
    kind: Kind
    place: syntax.Identifier
    branch_of: str | None = None


@dataclass(slots=True)
class Branch:
    """A fork around the current point: the names bound outside it, the name of its group, the `i`
    of a `fork n` (which its author did not write), and the outer names that its branches tried to
    bind."""

    outside: frozenset[str]
    group: str
    count: syntax.Identifier | None = None
    refused: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Scope:
    """`state` is what holds at the current point, None where no path leads. `forks` are those
    around the current point, innermost last; `metas_read` the names of metas that stand after a dot
    anywhere in the function."""

    tables: Tables
    module: Module
    is_const: bool = False  # of an expression that is evaluated while compiling
    hints: Mapping[str, Type] = field(default_factory=dict)
    body: syntax.Block = ()
    metas_read: frozenset[str] = frozenset()
    variables: dict[str, Variable] = field(default_factory=dict)
    meta_types: dict[str, Type] = field(default_factory=dict)
    state: State | None = field(default_factory=State)
    read: set[str] = field(default_factory=set)
    forks: list[Branch] = field(default_factory=list)
    locals: list[dict[str, Type]] = field(default_factory=list)
    _last: State = field(default_factory=State)

    # ------------------------------------------------------------ the current point

    @property
    def here(self) -> State:
        """What holds here; in unreachable code, what held where it became so."""
        if self.state is not None:
            self._last = self.state
        return self._last

    @contextmanager
    def narrowed(self, facts: Mapping[str, Type]) -> Iterator[None]:
        """Inside, the facts hold too."""
        before = self.state
        self.state = self.here.narrow(facts)
        yield
        self.state = before

    # ------------------------------------------------------------ binding

    def bind(
        self,
        name: syntax.Identifier,
        type: Type,
        kind: Kind,
        metas: Mapping[str, Type] | None = None,
    ) -> None:
        """`name` holds a new value of `type` from here on."""
        metas = metas or {}
        if not self._may_bind(name):
            if name.text in self.variables:
                self.state = self.here.bind(name.text, {})  # reading it is no second mistake
            return
        if name.text == UNUSED:
            type = JSON  # it is bound by many and read by nobody
        known = self.variables.get(name.text)
        branch_of = self.forks[-1].group if self.forks else None
        if known is None:
            hint = self.hints.get(name.text)
            found = type if hint is None else unify(hint, type) or type
            self.variables[name.text] = Variable(found, found, kind, name, branch_of)
        else:
            self._rebind(name, known, type)
            known.branch_of = branch_of if known.branch_of else None
        self.state = self.here.bind(name.text, metas)
        for meta, meta_type in metas.items():
            self.meta_types[f"{name.text}.{meta}"] = meta_type
        declared = self.variables[name.text].type
        if isinstance(declared, OptionalType) and not isinstance(type, OptionalType | NullType):
            self.state = self.state.narrow({name.text: declared.item})

    def _rebind(self, name: syntax.Identifier, known: Variable, type: Type) -> None:
        both = unify(known.type, type)
        if both is not None:
            known.type = both
            return
        self.tables.report.error(
            "E0312",
            f"`{name.text}` would change its type from `{known.type}` to `{type}`",
            name,
            f"`{type}` here",
            secondary=((known.place, f"`{known.type}` here"),),
            help="a name keeps one type in its function; choose another name",
        )

    def _may_bind(self, name: syntax.Identifier) -> bool:
        """False, with the error, where the name is not this statement's to bind."""
        error = self.tables.report.error
        known = self.variables.get(name.text)
        if known is not None and known.kind is Kind.PARAMETER:
            error(
                "E0205",
                f"`{name.text}` is a parameter and keeps its value",
                name,
                "cannot be bound again",
                secondary=((known.place, "the parameter"),),
                help="choose another name",
            )
            return False
        declared = self.module.names.get(name.text)
        if declared is not None or name.text in self.module.aliases:
            what = kind_of(declared.decl) if declared else "an imported file"
            message = f"`{name.text}` is {what} of this file"
            error("E0208", message, name, "cannot be bound here", help="choose another name")
            return False
        if known is not None and self.forks and name.text in self.forks[-1].outside:
            branch = self.forks[-1]
            branch.refused.append(name.text)
            error(
                "E0207",
                f"a branch of a fork cannot bind `{name.text}` of its surroundings",
                name,
                "bound inside the branch",
                secondary=((known.place, "bound outside"),),
                help=f"count by another name: `fork k in range(n) as {branch.group}:`"
                if name is branch.count
                else f"choose another name, read as `{branch.group}[i].name` after the fork",
            )
            return False
        return True

    # ------------------------------------------------------------ reading

    def local(self, name: str) -> Type | None:
        """The type of a name that a comprehension around this point binds."""
        for names in reversed(self.locals):
            if name in names:
                return names[name]
        return None

    def variable(self, name: syntax.Name) -> Type | None:
        """The type of the variable read here, or None when there is none of that name. A variable
        that may be unbound is reported and unknown."""
        text = name.text
        known = self.variables.get(text)
        if known is None or (text not in self.here.maybe and self._is_foreign(text)):
            return None
        self.read.add(text)
        if text in self.here.surely:
            return self.here.narrowed.get(text, known.type)
        self._report_unbound(name, known)
        return UNKNOWN

    def _is_foreign(self, text: str) -> bool:
        return self.module.find(text) is not None

    def _report_unbound(self, name: syntax.Name, known: Variable) -> None:
        text, report = name.text, self.tables.report
        if text in self.here.maybe:
            report.error(
                "E0204",
                f"`{text}` may be unbound here",
                name,
                "not bound on every path to here",
                secondary=((known.place, "bound only when this runs"),),
                help=f"bind `{text}` before, so that every path has it",
            )
        elif known.branch_of is not None:
            group = known.branch_of
            report.error(
                "E0203",
                f"`{text}` lives in the branches of the fork `{group}`",
                name,
                "not bound outside them",
                secondary=((known.place, "bound here, once a branch"),),
                help=f"read `{group}[i].{text}` for one branch, or `{group}.{text}` for the list",
            )
        else:
            report.error(
                "E0204",
                f"`{text}` is not bound yet",
                name,
                "read here",
                secondary=((known.place, "bound only here"),),
            )

    def report_undefined(self, name: syntax.Name | syntax.Identifier) -> None:
        """No variable, const or file has this name."""
        if self.module.is_partial:
            return
        later = {n.text: n for n in flow.binders(self.body)}
        if name.text in later:
            self.tables.report.error(
                "E0204",
                f"`{name.text}` is not bound yet",
                name,
                "read here",
                secondary=((later[name.text], "bound only here"),),
            )
            return
        near = nearest(name.text, self.visible())
        self.tables.report.error(
            "E0203",
            f"`{name.text}` is not defined",
            name,
            "not found in this scope",
            help=f"did you mean `{near}`?" if near else None,
        )

    def visible(self) -> list[str]:
        """The names of values that could be meant here."""
        consts = [n for n, d in self.module.names.items() if isinstance(d.decl, declaration.Const)]
        local = [name for names in self.locals for name in names]
        bound = [name for name in self.here.maybe if "." not in name]
        return [*local, *bound, *consts, *self.module.aliases]


def unify(known: Type, new: Type) -> Type | None:
    """The type of a variable that held `known` and is now given `new`; None when they disagree."""
    if known == new or relations.assignable(new, known):
        return _filled(known, new)
    if isinstance(known, NullType | OptionalType) or isinstance(new, NullType | OptionalType):
        inner = unify(_inner(known), _inner(new))
        return None if inner is None else relations.optional(inner)
    if relations.base(known) == relations.base(new):
        return relations.join(known, new)
    if isinstance(known, ListType | TupleType) and isinstance(new, ListType | TupleType):
        item = unify(relations.item_of(known) or UNKNOWN, relations.item_of(new) or UNKNOWN)
        return None if item is None else ListType(item)
    return None


def _inner(type: Type) -> Type:
    return UNKNOWN if isinstance(type, NullType) else relations.without_null(type)


def _filled(known: Type, new: Type) -> Type:
    """`known`, with what it left open (the items of an empty list) taken from `new`."""
    if isinstance(known, UnknownType):
        return new
    if isinstance(known, ListType) and isinstance(new, ListType):
        return ListType(_filled(known.item, new.item), known.min_items, known.max_items)
    if isinstance(known, OptionalType):
        return relations.optional(_filled(known.item, relations.without_null(new)))
    return known
