"""The final IR as straight code for the plan's register machine.

A region becomes code in place, its results arrive by one parallel `Move`, and the bodies of forks
and runs, which are tasks of their own, follow the main code.
Laws: a value is in one register from its definition to its last use; after that use, on each edge
that can be its last, a register that holds a context is dropped (that is what frees KV), unless the
same instruction overwrites it. Host values are overwritten in time and need no drop.
Knows nothing about tokens, models or when instructions run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sglc.codegen import instruction as p
from sglc.codegen import loops
from sglc.codegen.code import Code, Label
from sglc.codegen.constraints import Constrained
from sglc.codegen.exits import Exit, Exits, deaths
from sglc.codegen.registers import Ids, Registers
from sglc.codegen.selection import instruction
from sglc.ir import graph, ops
from sglc.ir.module import Function
from sglc.ir.value_type import ContextType


@dataclass(frozen=True, slots=True)
class Emitted:
    code: tuple[p.Instruction, ...]
    num_regs: int


def emit(program: Function, constrained: Mapping[int, Constrained] | None = None) -> Emitted:
    """Code for a program without calls. Its parameters arrive in registers 0, 1, ... `constrained`
    says what gens may write, by the id of their value."""
    emitter = Emitter(constrained or {})
    emitter.function(program)
    return Emitted(emitter.code.finish(), emitter.regs.num)


@dataclass(slots=True)
class Emitter:
    """`later` are bodies that stand behind the main code."""

    constrained: Mapping[int, Constrained]
    code: Code = field(default_factory=Code)
    regs: Registers = field(default_factory=Registers)
    later: list[Callable[[], None]] = field(default_factory=list)

    def function(self, program: Function) -> None:
        for param in program.body.args:
            self.regs.define(param)

        def leave(values: Sequence[ops.Value]) -> None:
            self.code.add(p.Return(*self.regs.all(values)))

        self.region(program.body, Exits(None, Exit(leave, frozenset())))
        while self.later:
            self.later.pop(0)()

    # ------------------------------------------------------------ regions

    def region(self, region: ops.Region, exits: Exits) -> None:
        """Emit the ops and the end of a region; its arguments have their registers."""
        unused, *dying = deaths(region, set(self.regs.live), exits)
        self.drop(unused)
        for op, dead in zip(region.ops, dying, strict=True):
            self.op(op, dead, exits)
        exits.of(type(region.end)).go(region.end.values)

    def op(self, op: ops.Op, dead: Ids, exits: Exits) -> None:
        """`dead` are the values that are not needed after the op, its own results among them."""
        match op:
            case ops.If():
                self.if_(op, dead, exits)
            case ops.For():
                loops.emit_for(self, op, dead, exits)
            case ops.While():
                loops.emit_while(self, op, dead, exits)
            case ops.Scope():
                self.scope(op, dead)
            case ops.Try():
                self.try_(op, dead)
            case ops.Fork() | ops.Run():
                self.task(op, dead)
            case ops.Require():
                self.require(op, dead)
            case _:
                self.simple(op, dead)

    def drop(self, ids: Iterable[int]) -> None:
        """The values die here."""
        self.code.drop(self.regs.forget(ids))

    def move(self, dsts: Sequence[p.Reg], srcs: Sequence[p.Reg]) -> None:
        pairs = [(d, s) for d, s in zip(dsts, srcs, strict=True) if d != s]
        if pairs:
            moved, sources = zip(*pairs, strict=True)
            self.code.add(p.Move(moved, sources))

    def jump(
        self,
        to: Label,
        dsts: Sequence[p.Reg],
        keep: Collection[int],
        *first: p.Instruction,
    ) -> Exit:
        """An exit that puts its values into `dsts`, drops contexts but those of `keep`, and goes on
        at `to`; `first` come before the drop."""

        def go(values: Sequence[ops.Value]) -> None:
            self.move(dsts, self.regs.all(values))
            for each in first:
                self.code.add(each)
            kept = {reg for id, reg in self.regs.live.items() if id in keep}
            self.code.drop(self.regs.held() - kept - set(dsts))
            self.code.add(p.Jump(to))

        return Exit(go, frozenset(keep))

    @contextmanager
    def results(self, op: ops.Op, dead: Ids) -> Iterator[list[p.Reg]]:
        """Registers for the results of a structured op, reserved until it is behind. Then what is
        live is what was live before, without what dies here."""
        saved = self.regs.save()
        dsts = [self.regs.reserve() for _ in graph.results(op)]
        yield dsts
        self.regs.restore(saved)
        self.regs.forget(dead)
        self.regs.bind(graph.results(op), dsts)
        self.drop(dead)

    # ------------------------------------------------------------ ops

    def simple(self, op: ops.Op, dead: Ids) -> None:
        """One instruction; a result may take the register of an operand that dies, and a context
        takes that of the context it is made of."""
        operands, results = graph.operands(op), graph.results(op)
        read = {value.id: self.regs[value] for value in operands}
        held = self.regs.forget({value.id for value in operands} & dead)
        if held and isinstance(results[0].type, ContextType):
            dst = next(read[value.id] for value in operands if read[value.id] in held)
            self.regs.bind(results[:1], [dst])
            results = results[1:]
        for value in results:
            self.regs.define(value)
        self.code.add(instruction(op, read, self.regs.live, self.constrained))
        self.code.drop(held - set(self.regs.all(graph.results(op))))
        self.drop(dead)

    def if_(self, op: ops.If, dead: Ids, exits: Exits) -> None:
        end, otherwise = self.code.label(), self.code.label()
        with self.results(op, dead) as dsts:
            self.code.add(p.Branch(self.regs[op.condition], otherwise))
            arms = replace(exits, yields=self.jump(end, dsts, set(self.regs.live) - dead))
            saved = self.regs.save()
            self.region(op.then, arms)
            self.regs.restore(saved)
            self.code.place(otherwise)
            self.region(op.otherwise, arms)
            self.code.place(end)

    def scope(self, op: ops.Scope, dead: Ids) -> None:
        end = self.code.label()
        with self.results(op, dead) as dsts:
            self.region(op.body, Exits(None, self.jump(end, dsts, set(self.regs.live) - dead)))
            self.code.place(end)

    def try_(self, op: ops.Try, dead: Ids) -> None:
        """What the handler needs stays until the body is behind; what the body had begun to build
        is dropped by the handler."""
        end, handler = self.code.label(), self.code.label()
        with self.results(op, dead) as dsts:
            keep = set(self.regs.live) - dead
            saved, held = self.regs.save(), self.regs.context_regs
            self.regs.context_regs = set()
            self.code.add(p.EnterTry(handler))
            behind = self.jump(end, dsts, keep, p.LeaveTry())
            self.region(op.body, Exits(replace(behind, keep=frozenset(self.regs.live))))
            begun = self.regs.context_regs
            self.regs.context_regs = held | begun
            self.regs.restore(saved)
            self.code.place(handler)
            self.code.drop(begun - self.regs.held())
            self.region(op.handler, Exits(self.jump(end, dsts, keep)))
            self.code.place(end)

    def task(self, op: ops.Fork | ops.Run, dead: Ids) -> None:
        """The body is code of its own task, which starts with a copy of the registers; what it does
        not need it drops at once."""
        entry = self.code.label()
        saved = self.regs.save()
        self.regs.reserved = set()
        args = [self.regs.define(arg) for arg in op.body.args]
        inside = self.regs.save()
        self.regs.restore(saved)
        read = dict(self.regs.live)
        results = [self.regs.define(value) for value in graph.results(op)]
        if isinstance(op, ops.Run):
            self.code.add(p.Run(results[0], entry, op.span))
        else:
            *context, item, index = args
            group, *contexts = results
            self.code.add(
                p.Fork(
                    group,
                    contexts[0] if contexts else None,
                    None if op.context is None else read[op.context.id],
                    read[op.items.id],
                    op.fields,
                    entry,
                    context[0] if context else None,
                    item,
                    index,
                    op.span,
                )
            )

        def end(values: Sequence[ops.Value]) -> None:
            self.code.add(p.End(tuple(self.regs.all(values))))

        self.behind(entry, inside, op.body, Exit(end, frozenset()))
        self.drop(dead)

    def require(self, op: ops.Require, dead: Ids) -> None:
        fails = self.code.label()
        self.code.add(p.Branch(self.regs[op.condition], fails))

        def fail(values: Sequence[ops.Value]) -> None:
            (message,) = values
            self.code.add(p.Fail(self.regs[message], op.span))

        # the row ends here, so nothing is dropped any more
        self.behind(fails, self.regs.save(), op.message, Exit(fail, frozenset(self.regs.live)))
        self.drop(dead)

    def behind(
        self,
        label: Label,
        inside: tuple[dict[int, p.Reg], set[p.Reg]],
        body: ops.Region,
        end: Exit,
    ) -> None:
        """Emit a region behind the main code, from the registers as they are in `inside`."""

        def emit_body() -> None:
            self.regs.restore(inside)
            self.code.place(label)
            self.region(body, Exits(end))

        self.later.append(emit_body)
