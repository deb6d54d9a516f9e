"""The final IR as straight code for the plan's register machine.

A region becomes code in place, its results arrive by one parallel `Move`, and the bodies of forks
and runs, which are tasks of their own, follow the main code.
Laws: a value is in one register from its definition to its last use; after that use, on each edge
that can be its last, a register that holds a context is dropped (that is what frees KV), unless the
same instruction overwrites it. Host values are overwritten in time and need no drop.
Knows nothing about tokens, models or when instructions run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sglc.codegen import plan
from sglc.codegen.code import Code, Label
from sglc.codegen.select_instruction import instruction
from sglc.ir import graph, ops
from sglc.ir.host import expr as host

# leaves a region with these values
Exit = Callable[[Sequence[ops.Value]], None]

Ids = set[int]


@dataclass(frozen=True, slots=True)
class Exits:
    """What each terminator does where a region is being emitted."""

    yields: Exit
    leaves: Exit
    breaks: Exit | None = None
    continues: Exit | None = None

    def take(self, end: ops.Terminator) -> None:
        exit = {
            ops.Yield: self.yields,
            ops.Leave: self.leaves,
            ops.Break: self.breaks,
            ops.Continue: self.continues,
        }[type(end)]
        assert exit is not None, "the verifier knows loops"
        exit(end.values)


@dataclass(frozen=True, slots=True)
class Emitted:
    code: tuple[plan.Instruction, ...]
    num_regs: int


def emit(program: ops.Function) -> Emitted:
    """Code for a program without calls. Its parameters arrive in registers 0, 1, ..."""
    emitter = _Emitter()
    emitter.function(program)
    return Emitted(emitter.code.finish(), emitter.num_regs)


@dataclass(slots=True)
class _Emitter:
    """`live` says where each value is that may still be used; `reserved` are registers that hold
    something else: results to come, loop counters."""

    code: Code = field(default_factory=Code)
    live: dict[int, plan.Reg] = field(default_factory=dict)
    reserved: set[plan.Reg] = field(default_factory=set)
    contexts: Ids = field(default_factory=set)  # ids of values that hold KV
    context_regs: set[plan.Reg] = field(default_factory=set)  # that ever held one
    num_regs: int = 0
    later: list[Callable[[], None]] = field(default_factory=list)

    def function(self, program: ops.Function) -> None:
        for param in program.body.args:
            self.define(param)

        def leave(values: Sequence[ops.Value]) -> None:
            context, value = values
            self.code.add(plan.Return(self.live[context.id], self.live[value.id]))

        self.region(program.body, set(), Exits(leave, leave))
        while self.later:
            self.later.pop(0)()

    # ------------------------------------------------------------ registers

    def define(self, value: ops.Value) -> plan.Reg:
        """A register for `value`, which is live from here on."""
        self.live[value.id] = reg = self.free_reg()
        if isinstance(value.type, ops.ContextType | ops.BranchesType):
            self.contexts.add(value.id)
            self.context_regs.add(reg)
        return reg

    def free_reg(self) -> plan.Reg:
        taken = self.reserved.union(self.live.values())
        reg = next(r for r in range(len(taken) + 1) if r not in taken)
        self.num_regs = max(self.num_regs, reg + 1)
        return reg

    def reserve(self) -> plan.Reg:
        reg = self.free_reg()
        self.reserved.add(reg)
        return reg

    def forget(self, ids: Iterable[int]) -> set[plan.Reg]:
        """The values are used no more; the registers among theirs that hold contexts."""
        regs = set()
        for id in ids:
            reg = self.live.pop(id, None)
            if reg is not None and id in self.contexts:
                regs.add(reg)
        return regs

    def drop(self, ids: Iterable[int]) -> None:
        self.code.drop(self.forget(ids))

    @contextmanager
    def results(self, op: ops.Op, dead: Ids) -> Iterator[tuple[plan.Reg, ...]]:
        """Registers for the results of a structured op, reserved until it is behind. Then what is
        live is what was live before, without what dies here."""
        before, reserved = dict(self.live), set(self.reserved)
        regs = tuple(self.reserve() for _ in graph.results(op))
        yield regs
        self.live, self.reserved = before, reserved
        self.forget(dead)
        self.arrive(op, regs, dead)

    def arrive(self, op: ops.Op, regs: Sequence[plan.Reg], dead: Ids) -> None:
        """The results of `op` are in `regs` now; those that nobody uses are dropped."""
        for value, reg in zip(graph.results(op), regs, strict=True):
            self.live[value.id] = reg
            if isinstance(value.type, ops.ContextType | ops.BranchesType):
                self.contexts.add(value.id)
                self.context_regs.add(reg)
        self.drop({value.id for value in graph.results(op)} & dead)

    # ------------------------------------------------------------ regions

    def region(self, region: ops.Region, dying: Ids, exits: Exits) -> None:
        """Emit the ops and the end of a region. `dying` are outer values and arguments that have
        no use after it: they die inside."""
        deaths = _deaths(region, dying)
        self.drop(deaths[0])
        for op, dead in zip(region.ops, deaths[1:], strict=True):
            self.op(op, dead, exits)
        exits.take(region.end)

    def op(self, op: ops.Op, dead: Ids, exits: Exits) -> None:
        match op:
            case ops.If():
                self.if_(op, dead, exits)
            case ops.For():
                self.for_(op, dead, exits)
            case ops.While():
                self.while_(op, dead, exits)
            case ops.Scope():
                self.scope(op, dead, exits)
            case ops.Try():
                self.try_(op, dead, exits)
            case ops.Fork() | ops.Run():
                self.task(op, dead, exits)
            case ops.Require():
                self.require(op, dead, exits)
            case _:
                self.simple(op, dead)

    def jump(
        self, to: Label, regs: Sequence[plan.Reg], keep: Ids, *first: plan.Instruction
    ) -> Exit:
        """An exit that puts its values into `regs`, drops contexts but those of `keep`, and goes on
        at `to`; `first` come before the drop."""

        def leave(values: Sequence[ops.Value]) -> None:
            self.move(regs, [self.live[value.id] for value in values])
            for step in first:
                self.code.add(step)
            kept = {self.live[id] for id in keep if id in self.live}.union(regs)
            held = {reg for id, reg in self.live.items() if id in self.contexts}
            self.code.drop(held - kept)
            self.code.add(plan.Jump(to))

        return leave

    def move(self, dsts: Sequence[plan.Reg], srcs: Sequence[plan.Reg]) -> None:
        pairs = [(d, s) for d, s in zip(dsts, srcs, strict=True) if d != s]
        if pairs:
            moved, sources = zip(*pairs, strict=True)
            self.code.add(plan.Move(moved, sources))

    # ------------------------------------------------------------ ops

    def simple(self, op: ops.Op, dead: Ids) -> None:
        """One instruction; a result may take the register of an operand that dies."""
        read = dict(self.live)
        used = {value.id for value in graph.operands(op)}
        held = self.forget(used & dead)
        for value in graph.results(op):
            self.define(value)
        self.code.add(instruction(op, read, self.live))
        self.code.drop(held - {self.live[value.id] for value in graph.results(op)})
        self.drop(dead)

    def if_(self, op: ops.If, dead: Ids, exits: Exits) -> None:
        end, otherwise = self.code.label(), self.code.label()
        with self.results(op, dead) as regs:
            self.code.add(plan.Branch(self.live[op.condition.id], otherwise))
            inside = replace(exits, yields=self.jump(end, regs, set(self.live) - dead))
            live, reserved = dict(self.live), set(self.reserved)
            self.region(op.then, dead, inside)
            self.live, self.reserved = live, reserved
            self.code.place(otherwise)
            self.region(op.otherwise, dead, inside)
            self.code.place(end)

    def scope(self, op: ops.Scope, dead: Ids, exits: Exits) -> None:
        end = self.code.label()
        with self.results(op, dead) as regs:
            leave = self.jump(end, regs, set(self.live) - dead)
            self.region(op.body, dead, replace(exits, yields=leave, leaves=leave))
            self.code.place(end)

    def try_(self, op: ops.Try, dead: Ids, exits: Exits) -> None:
        """What the handler needs stays until the body is behind; what the body had begun to build
        is dropped by the handler."""
        end, handler = self.code.label(), self.code.label()
        with self.results(op, dead) as regs:
            live, reserved, held = dict(self.live), set(self.reserved), self.context_regs
            self.context_regs = set()
            keep = set(live) - dead
            self.code.add(plan.EnterTry(handler))
            left = self.jump(end, regs, keep, plan.LeaveTry())
            self.region(op.body, set(), replace(exits, yields=left))
            begun = self.context_regs - set(live.values()) - reserved
            self.context_regs |= held
            self.live, self.reserved = live, reserved
            self.code.place(handler)
            self.code.drop(begun)
            self.region(op.handler, dead, replace(exits, yields=self.jump(end, regs, keep)))
            self.code.place(end)

    def for_(self, op: ops.For, dead: Ids, exits: Exits) -> None:
        head, step, done = self.code.label(), self.code.label(), self.code.label()
        with self.results(op, dead) as regs:
            index = self.reserve()
            self.enter_loop(op, regs, index, dead)
            item, round, *carried = op.body.args
            self.code.place(head)
            around = dict(self.live)
            self.code.add(
                plan.Next(self.define(item), self.live[op.items.id], index, done, op.span)
            )
            self.body(op.body, (round, *carried), (index, *regs), around, step, done, exits)
            self.next_round(index, head, step, done)
            self.live = around
            self.drop(dead)

    def while_(self, op: ops.While, dead: Ids, exits: Exits) -> None:
        head, step, done = self.code.label(), self.code.label(), self.code.label()
        with self.results(op, dead) as regs:
            round = self.reserve()
            self.enter_loop(op, regs, round, dead)
            self.code.place(head)
            around = dict(self.live)
            below = host.Compare("<", host.Operand(0), host.Operand(1))
            goes_on = self.free_reg()
            limit = self.live[op.limit.id]
            self.code.add(plan.Eval(goes_on, below, (round, limit), op.span))
            self.code.add(plan.Branch(goes_on, done))

            def tested(values: Sequence[ops.Value]) -> None:
                (condition,) = values
                self.code.add(plan.Branch(self.live[condition.id], done))

            self.bind(op.test.args, (round, *regs))
            self.region(op.test, set(), replace(exits, yields=tested))
            self.live = dict(around)
            self.body(op.body, op.body.args, (round, *regs), around, step, done, exits)
            self.next_round(round, head, step, done)
            self.live = around
            self.drop(dead)

    def enter_loop(
        self, op: ops.For | ops.While, regs: Sequence[plan.Reg], index: plan.Reg, dead: Ids
    ) -> None:
        """Carried values and the count of rounds at the start. What only the start needs dies."""
        self.move(regs, [self.live[init.id] for init in op.inits])
        needed = {id for region in graph.regions(op) for id in graph.free_values(region)}
        needed.add(op.items.id if isinstance(op, ops.For) else op.limit.id)
        self.drop(dead - needed)
        self.code.add(plan.Eval(index, host.Const(0), (), None))

    def body(
        self,
        region: ops.Region,
        args: Sequence[ops.Value],
        places: Sequence[plan.Reg],
        around: dict[int, plan.Reg],
        step: Label,
        done: Label,
        exits: Exits,
    ) -> None:
        """A loop's body, its arguments in `places`: the counter, then what the rounds carry."""
        self.bind(args, places)
        keep, carried = set(around), places[1:]
        inside = replace(
            exits,
            breaks=self.jump(done, carried, keep),
            continues=self.jump(step, carried, keep),
        )
        self.region(region, {arg.id for arg in region.args}, inside)

    def bind(self, args: Sequence[ops.Value], regs: Sequence[plan.Reg]) -> None:
        """The arguments are in registers that are reserved already."""
        for arg, reg in zip(args, regs, strict=True):
            self.live[arg.id] = reg
            if isinstance(arg.type, ops.ContextType | ops.BranchesType):
                self.contexts.add(arg.id)
                self.context_regs.add(reg)

    def next_round(self, index: plan.Reg, head: Label, step: Label, done: Label) -> None:
        self.code.place(step)
        one_more = host.Binary("+", host.Operand(0), host.Const(1))
        self.code.add(plan.Eval(index, one_more, (index,), None))
        self.code.add(plan.Jump(head))
        self.code.place(done)

    def task(self, op: ops.Fork | ops.Run, dead: Ids, exits: Exits) -> None:
        """The body is code of its own task, which starts with a copy of the registers; what it does
        not need it drops at once."""
        entry = self.code.label()
        before, outer, reserved = dict(self.live), self.live, self.reserved
        self.live, self.reserved = dict(before), set()
        args = [self.define(arg) for arg in op.body.args]
        inside, self.live, self.reserved = self.live, outer, reserved
        results = [self.define(value) for value in graph.results(op)]
        if isinstance(op, ops.Run):
            self.code.add(plan.Run(results[0], entry, op.span))
        else:
            *context, item, index = args
            group, *contexts = results
            self.code.add(
                plan.Fork(
                    group,
                    contexts[0] if contexts else None,
                    None if op.context is None else before[op.context.id],
                    before[op.items.id],
                    op.fields,
                    entry,
                    context[0] if context else None,
                    item,
                    index,
                    op.span,
                )
            )

        def end(values: Sequence[ops.Value]) -> None:
            self.code.add(plan.End(tuple(self.live[value.id] for value in values)))

        def emit_body() -> None:
            self.live, self.reserved = inside, set()
            self.code.place(entry)
            self.region(op.body, set(inside), Exits(end, exits.leaves))

        self.later.append(emit_body)
        self.drop(dead)

    def require(self, op: ops.Require, dead: Ids, exits: Exits) -> None:
        fails = self.code.label()
        self.code.add(plan.Branch(self.live[op.condition.id], fails))
        live, reserved = dict(self.live), set(self.reserved)

        def fail(values: Sequence[ops.Value]) -> None:
            (message,) = values
            self.code.add(plan.Fail(self.live[message.id], op.span))

        def emit_message() -> None:
            self.live, self.reserved = live, reserved
            self.code.place(fails)
            self.region(op.message, set(), Exits(fail, exits.leaves))

        self.later.append(emit_message)
        self.drop(dead)


def _deaths(region: ops.Region, dying: Ids) -> list[Ids]:
    """First those of `dying` that the region never uses, then for each op the values, of `dying`
    and of the region's own, that have no use after it."""
    mortal = dying.union(v.id for op in region.ops for v in graph.results(op))
    later = {value.id for value in region.end.values}
    deaths: list[Ids] = []
    for op in reversed(region.ops):
        needed = {value.id for value in graph.operands(op)}
        needed.update(id for inner in graph.regions(op) for id in graph.free_values(inner))
        own = {value.id for value in graph.results(op)}
        deaths.append(((needed | own) - later) & mortal)
        later |= needed
    return [dying - later, *reversed(deaths)]
