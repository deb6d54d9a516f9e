"""Definite assignment and narrowing: what is known of a function's names at one point of it.

Law: a `State` is a value. Straight code makes new ones; where paths meet, `merge` keeps what holds
on each. `None` stands for a point that no path reaches.
Knows nothing about the types of names but where a test has narrowed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sglc.compiler import syntax
from sglc.ir.checks.operands import GEN_METAS, SELECT_METAS
from sglc.ir.types import Type


@dataclass(frozen=True, slots=True)
class State:
    """`surely` are the names bound on every path to here, metas ("x.tokens") among them; `maybe`
    those bound on some. `narrowed` maps a name or a path of fields ("row.title") to the type that
    tests on the way leave it."""

    surely: frozenset[str] = frozenset()
    maybe: frozenset[str] = frozenset()
    narrowed: Mapping[str, Type] = field(default_factory=dict)

    def bind(self, name: str, metas: Iterable[str] = ()) -> State:
        """`name` holds a new value, with these metas and no others."""
        new = {name, *(f"{name}.{meta}" for meta in metas)}
        old = {f"{name}.{meta}" for meta in (*GEN_METAS, *SELECT_METAS)}
        narrowed = self.narrowed
        if narrowed:
            part = f"{name}."
            narrowed = {n: t for n, t in narrowed.items() if n != name and not n.startswith(part)}
        return State((self.surely - old) | new, self.maybe | new, narrowed)

    def narrow(self, facts: Mapping[str, Type]) -> State:
        return replace(self, narrowed={**self.narrowed, **facts}) if facts else self

    def before_loop(self, body: syntax.Block) -> State:
        """What holds at the start of every round: nothing about a value that a round replaces."""
        replaced = set(bound_names(body))
        return replace(
            self,
            narrowed={n: t for n, t in self.narrowed.items() if n.split(".")[0] not in replaced},
        )


def merge(*states: State | None) -> State | None:
    """Where paths meet. Unreached paths do not count."""
    reached = [state for state in states if state is not None]
    if not reached:
        return None
    first, *rest = reached
    for state in rest:
        narrowed = {n: t for n, t in first.narrowed.items() if state.narrowed.get(n) == t}
        first = State(first.surely & state.surely, first.maybe | state.maybe, narrowed)
    return first


def bound_names(block: syntax.Block) -> Iterable[str]:
    """Every name that the block binds, branches of forks excluded."""
    for node in binders(block):
        yield node.text


def binders(block: syntax.Block, *, inside_forks: bool = False) -> Iterable[syntax.Identifier]:
    """The identifiers that statements of the block bind, in the order written."""
    for stmt in block:
        match stmt:
            case syntax.Gen(name=name) | syntax.Select(name=name):
                if name is not None:
                    yield name
            case syntax.Let(name=name) | syntax.Assign(name=name):
                yield name
            case syntax.Capture(name=name) | syntax.Reasoning(name=name):
                yield name
            case syntax.For(targets=targets):
                yield from targets
            case syntax.Fork(group=group, item=item):
                yield group
                if inside_forks and item is not None:
                    yield item
        if not isinstance(stmt, syntax.Fork) or inside_forks:
            for inner in blocks(stmt):
                yield from binders(inner, inside_forks=inside_forks)


def blocks(stmt: syntax.Stmt) -> tuple[syntax.Block, ...]:
    """The blocks that stand directly in a statement."""
    match stmt:
        case syntax.If(arms=arms, otherwise=otherwise):
            return (*(body for _, body in arms), otherwise or ())
        case (
            syntax.Role(body=body)
            | syntax.Fork(body=body)
            | syntax.Capture(body=body)
            | syntax.Reasoning(body=body)
            | syntax.AnyOrder(body=body)
            | syntax.For(body=body)
            | syntax.While(body=body)
        ):
            return (body,)
    return ()


def statements(block: syntax.Block) -> Iterable[syntax.Stmt]:
    """Every statement of the block, nested ones after the one that holds them."""
    for stmt in block:
        yield stmt
        for inner in blocks(stmt):
            yield from statements(inner)
