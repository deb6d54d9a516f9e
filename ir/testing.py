"""Random well-formed modules, for tests of laws: printing, passes, emission.

Law: `verify(random_module(r))` holds, and the module ends on every row: loops are short, forks few.
Rows for it come from `random_row`; its externs are `EXTERNS`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sglc.ir import ops
from sglc.ir import types as t
from sglc.ir.host import expr as e
from sglc.ir.host.expr import Expr
from sglc.ir.host.literal import literal
from sglc.ir.module import ExternDecl, Function, Module, Param
from sglc.ir.ops import Op, Region, Value
from sglc.ir.random_gens import STRINGS, add_gen, add_select
from sglc.ir.value_type import BranchesType, ContextType, ValueType

CTX = ContextType()
_WORDS = ("", "a", "b\n", "{x}", '"q" ', "é")


def _shout(text: object) -> str:
    if text == "":
        raise ValueError("nothing to shout")
    return f"{text}!"


EXTERNS: dict[str, Callable[..., e.Value]] = {"shout": _shout, "echo": lambda text: text}
_DECLARED = (
    ExternDecl("shout", (("text", t.STR),), t.STR),
    ExternDecl("echo", (("text", t.STR),), t.STR, is_pure=True, timeout=1.5, retries=2),
)


def random_module(draw: random.Random, *, num_statements: int = 6) -> Module:
    """A module with up to two fragments; each block has up to `num_statements` statements."""
    fragments: list[Function] = []
    for name in ("first", "second")[: draw.randrange(3)]:
        fragments.append(_fragment(draw, name, tuple(fragments), num_statements))
    block = Block(draw, _Ids(), tuple(fragments), num_statements, depth=0)
    params = tuple(block.known(type, name) for type, name in ((t.STR, "q"), (STRINGS, "items")))
    block.context = block.ids.value(CTX)
    block.code.append(ops.Start(block.context))
    block.leave_role = True
    block.call()
    block.statements()
    end = ops.Leave((block.context, block.some(t.STR)))
    program = Function(
        "main",
        Region(params, tuple(block.code), end),
        is_program=True,
        params=(Param(params[0]), Param(params[1], literal(["x", "y"]))),
        result=t.STR,
    )
    return Module(program, tuple(fragments), _DECLARED, ())


def random_row(draw: random.Random) -> dict[str, e.Value]:
    """Values of the parameters of `random_module`'s programs."""
    return {
        "q": draw.choice(_WORDS),
        "items": [draw.choice(_WORDS) for _ in range(draw.randrange(3))],
    }


def _fragment(
    draw: random.Random, name: str, callees: tuple[Function, ...], num_statements: int
) -> Function:
    block = Block(draw, _Ids(), callees, num_statements, depth=1)
    block.context = start = block.ids.value(CTX)
    param = block.known(t.STR, "text")
    block.leave_role = True
    block.statements()
    block.jump()
    block.statements()
    end = ops.Leave((block.context, block.some(t.STR)))
    return Function(name, Region((start, param), tuple(block.code), end), result=t.STR)


@dataclass(slots=True)
class _Ids:
    next: int = 0
    gens: int = 0

    def value(self, type: ValueType, name: str = "") -> Value:
        self.next += 1
        return Value(self.next - 1, type, name)

    def site(self) -> int:
        self.gens += 1
        return self.gens - 1


@dataclass(slots=True)
class Block:
    """A region in the making. `round` stands in the paths; `loop` are the types that a jump out of
    the innermost loop carries, None outside of one; `leave_role` says that a `leave` is allowed."""

    draw: random.Random
    ids: _Ids
    callees: tuple[Function, ...]
    num_statements: int
    depth: int
    values: list[Value] = field(default_factory=list)
    rounds: tuple[Value, ...] = ()
    loop: bool = False
    leave_role: bool = False
    context: Value = field(default_factory=lambda: Value(-1, CTX))
    code: list[Op] = field(default_factory=list)

    # ------------------------------------------------------------ values

    def known(self, type: ValueType, name: str = "") -> Value:
        value = self.ids.value(type, name)
        self.values.append(value)
        return value

    def some(self, type: t.Type) -> Value:
        """A visible value of the type, an old one or a new constant."""
        found = [value for value in self.values if value.type == type]
        if found and self.draw.random() < 0.7:
            return self.draw.choice(found)
        constants: dict[t.Type, e.Value] = {
            t.STR: self.draw.choice(_WORDS),
            t.INT: self.draw.randrange(4),
            t.BOOL: self.draw.random() < 0.5,
            t.FLOAT: self.draw.choice((0.0, 0.0, 0.7)),
            STRINGS: [self.draw.choice(_WORDS) for _ in range(self.draw.randrange(4))],
        }
        return self.let(type, literal(constants[type]))

    def let(self, type: t.Type, expr: Expr, *operands: Value) -> Value:
        value = self.known(type, self.draw.choice(("", "x", "y.tokens")))
        self.code.append(ops.Let(value, expr, operands))
        return value

    def path(self) -> ops.Path:
        return (self.ids.site(), *self.rounds)

    def child(self, *, is_task: bool = False, round: Value | None = None) -> Block:
        """A block inside this one; tasks cannot be left by jumps."""
        inner = replace(
            self,
            depth=self.depth + 1,
            values=list(self.values),
            rounds=(*self.rounds, round) if round is not None else self.rounds,
            code=[],
        )
        if is_task:
            inner.loop = inner.leave_role = False
        return inner

    # ------------------------------------------------------------ statements

    def statements(self) -> None:
        for _ in range(self.draw.randrange(1, self.num_statements + 1)):
            simple = (self.append, self.append, self.gen, self.compute, self.select, self.capture)
            nested = (self.if_, self.for_, self.while_, self.fork, self.run, self.try_, self.role)
            effects = (self.extern, self.require, self.call, self.jump)
            kinds = simple + effects + nested if self.depth < 3 else simple
            self.draw.choice(kinds)()

    def append(self) -> None:
        text = self.some(t.STR)
        if self.draw.random() < 0.1:
            self.step(lambda result: ops.Control(result, self.context, "eot"))
        else:
            self.step(lambda result: ops.Append(result, self.context, text))

    def step(self, make: Callable[[Value], Op]) -> None:
        """Add an op that turns the context into one of the same role."""
        result = self.ids.value(self.context.type)
        self.code.append(make(result))
        self.context = result

    def gen(self) -> None:
        add_gen(self)

    def select(self) -> None:
        add_select(self)

    def capture(self) -> None:
        before = self.context
        self.append()
        self.gen()
        self.code.append(ops.Capture(self.known(t.STR, "seen"), before, self.context))

    def compute(self) -> None:
        """A let of one sort or another; some can fail."""
        a, b = e.Operand(0), e.Operand(1)
        match self.draw.randrange(8):
            case 0:
                parts = ((e.Const("{"), None), (a, None), (e.Const(":"), None), (b, ">3"))
                self.let(t.STR, e.Format(parts), self.some(t.STR), self.some(t.INT))
            case 1:
                self.let(t.INT, e.Binary("+", a, b), self.some(t.INT), self.some(t.INT))
            case 2:
                self.let(t.INT, e.Binary("//", a, b), self.some(t.INT), self.some(t.INT))
            case 3:
                self.let(t.BOOL, e.Compare("<", a, b), self.some(t.INT), self.some(t.INT))
            case 4:
                self.let(t.BOOL, e.Compare("==", a, b), self.some(t.STR), self.some(t.STR))
            case 5:
                clause = e.Clause(("w",), a, (e.Compare("!=", e.Local("w"), b),))
                shown = e.Call("upper", (e.Local("w"),))
                listed = e.Comprehension(shown, (clause,))
                self.let(STRINGS, listed, self.some(STRINGS), self.some(t.STR))
            case 6:
                made = e.Try(e.Index(a, b), e.Const("none"))
                self.let(t.STR, made, self.some(STRINGS), self.some(t.INT))
            case _:
                value = self.some(t.STR)
                either = e.Cond(e.Logic("and", (a, e.Unary("not", b))), e.Operand(2), e.Const("-"))
                self.let(t.STR, either, self.some(t.BOOL), self.some(t.BOOL), value)

    # ------------------------------------------------------------ effects

    def extern(self) -> None:
        name = self.draw.choice(("shout", "echo"))
        arg = self.some(t.STR)
        self.code.append(ops.Extern(self.known(t.STR), name, (arg,), self.path()))

    def require(self) -> None:
        condition, inner = self.some(t.BOOL), self.child(is_task=True)
        if self.draw.random() < 0.7:
            either = e.Logic("or", (e.Operand(0), e.Const(True)))
            condition = self.let(t.BOOL, either, condition)
        end = ops.Yield((inner.some(t.STR),))
        self.code.append(ops.Require(condition, Region((), tuple(inner.code), end)))

    def call(self) -> None:
        callees = [f for f in self.callees if f.body.args[0].type == self.context.type]
        if not callees:
            return
        callee, arg, value = self.draw.choice(callees), self.some(t.STR), self.ids.value(t.STR)
        defaults = (("temperature", self.some(t.FLOAT)),) if self.draw.random() < 0.5 else ()
        self.step(
            lambda result: ops.Call(
                result, value, callee.name, self.context, (arg,), defaults, self.path()
            )
        )
        self.values.append(value)

    def jump(self) -> None:
        """`if cond: break`, or continue or return, where the context may."""
        inner = self.child()
        inner.append()
        ends: list[ops.Terminator] = []
        if self.context.type == CTX and self.leave_role:
            ends.append(ops.Leave((inner.context, inner.some(t.STR))))
        if self.context.type == CTX and self.loop:
            values = (inner.context, inner.some(t.STR), inner.some(t.INT))
            ends += [ops.Break(values), ops.Continue(values)]
        if ends:
            condition = self.some(t.BOOL)
            then = Region((), tuple(inner.code), self.draw.choice(ends))
            nothing = Region((), (), ops.Yield())
            arms = (then, nothing) if self.draw.random() < 0.5 else (nothing, then)
            self.code.append(ops.If((), condition, *arms))

    # ------------------------------------------------------------ structure

    def role(self) -> None:
        if self.context.type != CTX:
            return
        inside = self.ids.value(ContextType("user"))
        self.code.append(ops.Open(inside, self.context, "user"))
        self.context = inside
        self.statements()
        after = self.ids.value(CTX)
        self.code.append(ops.Close(after, self.context))
        self.context = after

    def if_(self) -> None:
        condition = self.some(t.BOOL)
        regions = []
        for _ in range(2):
            arm = self.child()
            arm.statements()
            end = ops.Yield((arm.context, arm.some(t.STR)))
            regions.append(Region((), tuple(arm.code), end))
        context, text = self.ids.value(self.context.type), self.ids.value(t.STR)
        then, otherwise = regions
        self.code.append(ops.If((context, text), condition, then, otherwise))
        self.context = context
        self.values.append(text)

    def carried(self, inner: Block) -> tuple[Value, ...]:
        """Arguments for a context, a text and a number, known inside."""
        inner.context = self.ids.value(self.context.type)
        inner.loop, inner.leave_role = True, self.leave_role
        return (inner.context, inner.known(t.STR), inner.known(t.INT))

    def looped(self, inner: Block, args: tuple[Value, ...]) -> Region:
        inner.statements()
        for _ in range(self.draw.randrange(3)):
            inner.jump()
            inner.append()
        values = (inner.context, inner.some(t.STR), inner.some(t.INT))
        ends: list[ops.Terminator] = [ops.Break(values)]
        ends += [ops.Continue(values)] * 8
        if inner.context.type == CTX and inner.leave_role:
            ends.append(ops.Leave(values[:2]))
        return Region(args, tuple(inner.code), self.draw.choice(ends))

    def leave_loop(self) -> tuple[Value, ...]:
        self.context = self.ids.value(self.context.type)
        return (self.context, self.known(t.STR), self.known(t.INT))

    def for_(self) -> None:
        listed = literal([self.draw.choice(_WORDS) for _ in range(self.draw.randrange(4))])
        items = self.let(STRINGS, listed) if self.draw.random() < 0.5 else self.some(STRINGS)
        inits = (self.context, self.some(t.STR), self.some(t.INT))
        round = self.ids.value(t.INT)
        inner = self.child(round=round)
        item = inner.known(t.STR, "item")
        inner.values.append(round)
        args = self.carried(inner)
        body = self.looped(inner, (item, round, *args))
        self.code.append(ops.For(self.leave_loop(), items, inits, body))

    def while_(self) -> None:
        limit = self.some(t.INT) if self.draw.random() < 0.3 else self.let(t.INT, e.Const(3))
        inits = (self.context, self.some(t.STR), self.some(t.INT))
        tester = self.child(is_task=True)
        test_args = (self.ids.value(t.INT), *self.carried(tester))
        tester.loop = tester.leave_role = False
        condition = tester.some(t.BOOL)
        test = Region(test_args, tuple(tester.code), ops.Yield((condition,)))
        round = self.ids.value(t.INT)
        inner = self.child(round=round)
        body = self.looped(inner, (round, *self.carried(inner)))
        self.code.append(ops.While(self.leave_loop(), limit, inits, test, body))

    def fork(self) -> None:
        items, base, index = self.some(STRINGS), self.context, self.ids.value(t.INT)
        inner = self.child(is_task=True, round=index)
        item = inner.known(t.STR, "dim")
        inner.values.append(index)
        start = inner.context = self.ids.value(base.type)
        inner.statements()
        value = inner.some(t.STR)
        end = ops.Yield((inner.context, value, item))
        body = Region((start, item, index), tuple(inner.code), end)
        group = self.ids.value(t.GroupType((("value", t.STR), ("dim", t.STR))), "views")
        contexts = self.ids.value(
            BranchesType(base.type.role if isinstance(base.type, ContextType) else None)
        )
        self.code.append(ops.Fork(group, contexts, base, items, ("value", "dim"), body))
        if self.draw.random() < 0.5:
            self.step(lambda result: ops.Join(result, self.context, base, contexts))
        if self.draw.random() < 0.7:
            self.let(STRINGS, e.Field(e.Operand(0), "value"), group)

    def run(self) -> None:
        inner = self.child(is_task=True)
        inner.context = self.ids.value(CTX)
        inner.code.append(ops.Start(inner.context))
        inner.statements()
        end = ops.Yield((inner.some(t.STR),))
        self.code.append(ops.Run(self.known(t.STR, "ran"), Region((), tuple(inner.code), end)))

    def try_(self) -> None:
        regions = []
        for _ in range(2):
            inner = self.child(is_task=True)
            inner.statements()
            end = ops.Yield((inner.context, inner.some(t.STR)))
            regions.append(Region((), tuple(inner.code), end))
        context, text = self.ids.value(self.context.type), self.ids.value(t.STR)
        body, handler = regions
        self.code.append(ops.Try((context, text), body, handler))
        self.context = context
        self.values.append(text)
