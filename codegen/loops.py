"""Loops as code.

        carried = inits; index = 0
    head:
        item = items[index], or go to done          (while: round < limit and the test)
        the body, whose Continue sets carried and goes to step, whose Break goes to done
    step:
        index = index + 1; go to head
    done:

Law: what the body reads from outside stays in its registers in all rounds; what the rounds carry
dies inside the body as early as it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sglc.codegen import instruction as p
from sglc.codegen.exits import Exit, Exits
from sglc.codegen.registers import Ids
from sglc.ir import graph, ops
from sglc.ir.host import expr as host

if TYPE_CHECKING:
    from sglc.codegen.emit import Emitter

_BELOW = host.Compare("<", host.Operand(0), host.Operand(1))
_ONE_MORE = host.Binary("+", host.Operand(0), host.Const(1))


def emit_for(emitter: Emitter, op: ops.For, dead: Ids, exits: Exits) -> None:
    """Code of a `for`: the list is walked by a counter, which is also the round."""
    regs = emitter.regs
    with emitter.results(op, dead) as carried:
        loop = _Loop(emitter, op, carried, dead)
        item, round, *args = op.body.args
        dst = regs.define(item)
        emitter.code.add(p.Next(dst, loop.around[op.items.id], loop.index, loop.done, op.span))
        loop.body((round, *args), exits)
        loop.end()


def emit_while(emitter: Emitter, op: ops.While, dead: Ids, exits: Exits) -> None:
    """Code of a `while`: the rounds are counted against its limit before each test."""
    code, regs = emitter.code, emitter.regs
    with emitter.results(op, dead) as carried:
        loop = _Loop(emitter, op, carried, dead)
        goes_on = regs.free()
        code.add(p.Eval(goes_on, _BELOW, (loop.index, regs[op.limit]), op.span))
        code.add(p.Branch(goes_on, loop.done))

        def tested(values: Sequence[ops.Value]) -> None:
            (condition,) = values
            code.add(p.Branch(regs[condition], loop.done))

        regs.bind(op.test.args, (loop.index, *carried))
        emitter.region(op.test, Exits(Exit(tested, frozenset(regs.live))))
        regs.live = dict(loop.around)
        loop.body(op.body.args, exits)
        loop.end()


class _Loop:
    """The frame of one loop: made at its start, with the code there; `around` is what is live in
    each round from outside."""

    def __init__(
        self, emitter: Emitter, op: ops.For | ops.While, carried: list[p.Reg], dead: Ids
    ) -> None:
        code, regs = emitter.code, emitter.regs
        self.emitter = emitter
        self.region = op.body
        self.carried = carried
        self.dead = dead
        self.step, self.done, self.head = code.label(), code.label(), code.label()
        self.index = regs.reserve()
        emitter.move(carried, regs.all(op.inits))
        needed = {id for region in graph.regions(op) for id in graph.free_values(region)}
        needed.add(op.items.id if isinstance(op, ops.For) else op.limit.id)
        emitter.drop(dead - needed)
        code.add(p.Eval(self.index, host.Const(0), (), None))
        code.place(self.head)
        self.around = dict(regs.live)

    def body(self, args: Sequence[ops.Value], exits: Exits) -> None:
        """The body; `args` are the round and what the rounds carry."""
        emitter, keep = self.emitter, self.around.keys()
        emitter.regs.bind(args, (self.index, *self.carried))
        inside = replace(
            exits,
            yields=None,
            breaks=emitter.jump(self.done, self.carried, keep),
            continues=emitter.jump(self.step, self.carried, keep),
        )
        emitter.region(self.region, inside)

    def end(self) -> None:
        """The next round, and what follows the last one."""
        code = self.emitter.code
        code.place(self.step)
        code.add(p.Eval(self.index, _ONE_MORE, (self.index,), None))
        code.add(p.Jump(self.head))
        code.place(self.done)
        self.emitter.regs.live = dict(self.around)
        self.emitter.drop(self.dead)
