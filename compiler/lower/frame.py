"""The place where a function is being lowered: its names' values, its loops, the ops so far.

A `Frame` is one block of one function. A region of an op is lowered in a child frame, which starts
with a copy of the names; what the op lets flow out is read off the child's names afterwards.
Law: a value is made by `value` and defined by exactly one op or region.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sglc.compiler import declaration, syntax
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.lower import facts
from sglc.compiler.sample import Sample
from sglc.ir import ops
from sglc.ir.checks.operands import GEN_METAS, SELECT_METAS
from sglc.ir.host import expr as host
from sglc.ir.note import PassNote
from sglc.ir.span import Span
from sglc.ir.types import BOOL, FLOAT, INT, NULL, STR, Type
from sglc.ir.value_type import ContextType, ValueType
from sglc.passes.stages import Stage

CONTEXT = ""  # the name of the current context among the names of a frame
CONTEXTS, BASE = "@contexts", "@base"  # behind a group's name, what `join` needs of its fork
_PARTS = (*(f".{meta}" for meta in (*GEN_METAS, *SELECT_METAS)), CONTEXTS, BASE)


class Unit(Protocol):
    """The module being made, as a function sees it."""

    @property
    def checked(self) -> CheckedProgram: ...

    @property
    def sample(self) -> Sample | None: ...

    @property
    def notes(self) -> list[PassNote]: ...

    def fragment(self, fragment: declaration.Fragment, role: str | None, keeps_whole: bool) -> str:
        """The IR name of `fragment` for contexts in which `role` stands open, and for callers whose
        defaults keep records whole or do not."""
        ...


@dataclass(slots=True)
class FunctionScope:
    """What all frames of one function share. `lower_expr` and `lower_block` are the two dispatchers
    (`expressions.py`, `statements.py`), handed in so that each construct's file needs only frames.
    """

    unit: Unit
    owner: facts.Owner
    role: str | None  # that stands open when the function is entered
    lower_expr: Callable[[Frame, syntax.Expr, str], ops.Value]
    lower_block: Callable[[Frame, syntax.Block], ops.Terminator | None]
    sites: Mapping[syntax.Node, int]
    joined: frozenset[str]  # groups that some `join` names
    metas: frozenset[str]  # "x.tokens" and the like that are read somewhere
    keeps_whole: bool = False  # the callers' defaults forbid to cut records (`records.py`)
    ids: Iterator[int] = field(default_factory=itertools.count)
    stages: dict[int, Stage] = field(default_factory=dict)  # by value id
    origins: dict[int, frozenset[str]] = field(default_factory=dict)  # parameters, by value id


@dataclass(frozen=True, slots=True)
class Loop:
    """The innermost loop: what its rounds carry, and the role that stood open around it."""

    carried: tuple[str, ...]
    role: str | None


@dataclass(slots=True)
class Frame:
    """`names` are the values of the names bound here, `code` the ops so far. `rounds` are the loop
    rounds and fork indices around, the tail of every path; `thinking` names the `reasoning` around.
    """

    scope: FunctionScope
    names: dict[str, ops.Value]
    code: list[ops.Op] = field(default_factory=list)
    rounds: ops.Path = ()
    defaults: Mapping[str, ops.Value] = field(default_factory=dict)
    loop: Loop | None = None
    thinking: str | None = None

    @property
    def checked(self) -> CheckedProgram:
        return self.scope.unit.checked

    @property
    def variables(self) -> Mapping[str, Type]:
        """The type of each variable of this function."""
        return self.checked.variables[self.scope.owner]

    @property
    def context(self) -> ops.Value:
        return self.names[CONTEXT]

    @context.setter
    def context(self, value: ops.Value) -> None:
        self.names[CONTEXT] = value

    @property
    def role(self) -> str | None:
        """The role that stands open."""
        assert isinstance(self.context.type, ContextType)
        return self.context.type.role

    def child(self, *, round: ops.Value | None = None, loop: Loop | None = None) -> Frame:
        """A frame for a region; `round` is the round or index that the region's paths add."""
        return replace(
            self,
            names=dict(self.names),
            code=[],
            rounds=self.rounds if round is None else (*self.rounds, round),
            loop=loop or self.loop,
        )

    def expr(self, expr: syntax.Expr, name: str = "") -> ops.Value:
        """The value of an expression; the ops that compute it are emitted here."""
        return self.scope.lower_expr(self, expr, name)

    def block(self, block: syntax.Block) -> ops.Terminator | None:
        """Lower statements; the terminator in which they end, or None when they fall through."""
        return self.scope.lower_block(self, block)

    def value(self, type: ValueType, name: str = "") -> ops.Value:
        return ops.Value(next(self.scope.ids), type, name)

    def new_context(self, role: str | None) -> ops.Value:
        return self.value(ContextType(role))

    def emit(self, op: ops.Op) -> None:
        self.code.append(op)

    def let(
        self,
        expr: host.Expr,
        operands: Sequence[ops.Value],
        type: Type,
        span: Span | None,
        name: str = "",
    ) -> ops.Value:
        """Emit a pure expression."""
        result = self.value(type, name)
        self.derive(result, *operands)
        self.emit(ops.Let(result, expr, tuple(operands), span))
        return result

    def constant(self, value: bool | int | float | str | None, span: Span | None) -> ops.Value:
        types: dict[type, Type] = {type(None): NULL, bool: BOOL, int: INT, float: FLOAT, str: STR}
        return self.let(host.Const(value), (), types[type(value)], span)

    def path(self, node: syntax.Node) -> ops.Path:
        return (self.scope.sites[node], *self.rounds)

    def bind(self, name: str, value: ops.Value) -> None:
        """Bind a name; what a former gen of that name left to read (`x.tokens`) goes with it."""
        for part in _PARTS:
            self.names.pop(name + part, None)
        self.names[name] = value

    def region(self, end: ops.Terminator, args: Sequence[ops.Value] = ()) -> ops.Region:
        """What was lowered here, as a region."""
        return ops.Region(tuple(args), tuple(self.code), end)

    def stage(self, value: ops.Value) -> Stage:
        """When `value` is known: with the model's outputs, unless `derive` said otherwise."""
        return self.scope.stages.get(value.id, Stage.GEN)

    def origins(self, value: ops.Value) -> frozenset[str]:
        """The parameters that `value` is computed from, where it is known before running."""
        return self.scope.origins.get(value.id, frozenset())

    def derive(self, value: ops.Value, *sources: ops.Value) -> None:
        """Note that `value` is known as soon as `sources` are, and depends on what they do."""
        self.scope.stages[value.id] = max(map(self.stage, sources), default=Stage.CONST)
        self.scope.origins[value.id] = frozenset().union(*map(self.origins, sources))


def merge(
    frame: Frame, arms: Sequence[Frame], deciding: Sequence[ops.Value] = ()
) -> tuple[tuple[ops.Value, ...], list[tuple[ops.Value, ...]]]:
    """Let the names that all arms have flow into `frame`.

    Returns the results of the op that holds the arms, and what each arm yields for them; `deciding`
    are the values that choose the arm.
    """
    first, others = arms[0].names, [arm.names for arm in arms[1:]]
    in_all = set(first).intersection(*others)
    common = {n: v for n, v in first.items() if n in in_all}
    unlike = {n for names in others for n, v in names.items() if first.get(n) is not v}
    moved = [n for n in common if n in unlike]
    results = []
    for name in moved:
        declared = frame.variables.get(name)
        result = frame.value(first[name].type if declared is None else declared, name)
        frame.derive(result, *(arm.names[name] for arm in arms), *deciding)
        common[name] = result
        results.append(result)
    frame.names = common
    return tuple(results), [tuple(arm.names[n] for n in moved) for arm in arms]


def branch(
    frame: Frame,
    condition: ops.Value,
    then: Callable[[Frame], ops.Value],
    otherwise: Callable[[Frame], ops.Value],
    type: Type,
    span: Span,
    name: str = "",
) -> ops.Value:
    """Emit an `If` whose arms each give a value; an expression binds and appends nothing."""
    arms = frame.child(), frame.child()
    values = then(arms[0]), otherwise(arms[1])
    yes, no = (arm.region(ops.Yield((value,))) for arm, value in zip(arms, values, strict=True))
    result = frame.value(type, name)
    frame.derive(result, condition, *values)
    frame.emit(ops.If((result,), condition, yes, no, span))
    return result
