"""What a row runs for sure: its plan followed with the row's values, before any model is asked.

Where a value decides that only the run can know, both ways are followed, and only what both come to
is sure. What gens write counts nothing, since they may end at once; for their max_tokens there must
be room.
Law: what `Walk` finds, the machine comes to, whatever the model says (or the row fails before that
for another reason). It may overlook what lies behind many such decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sglc.codegen import instruction as p
from sglc.codegen.plan import Plan
from sglc.ir.host.error import HostError
from sglc.ir.host.evaluate import HostEnv
from sglc.ir.host.operators import items_of
from sglc.runtime.engine.request import Sampling
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.room.sizes import Sizes
from sglc.runtime.room.values import UNKNOWN, Compute, is_known, parts_of
from sglc.runtime.row import RowFailure, too_long

MAX_STEPS = 20_000  # instructions that are followed for one row
MAX_DEPTH = 40  # decisions and tasks inside one another


@dataclass(frozen=True, slots=True)
class Ended:
    """A task ended, with these values: all of it is sure."""

    values: tuple[Any, ...]


# how a task goes on for sure: to its end, or the row fails (for want of room, or by the program's
# own words); None where that is not known
Fate = Ended | RowFailure | None


@dataclass(frozen=True, slots=True)
class Program:
    """A plan made ready for many walks."""

    plan: Plan
    computes: dict[int, Compute]  # of each Eval
    env: HostEnv

    @classmethod
    def of(cls, plan: Plan, tokenizer: Tokenizer) -> Program:
        computes = {at: Compute(i) for at, i in enumerate(plan.code) if isinstance(i, p.Eval)}
        return cls(plan, computes, HostEnv(tokenizer))


class Walk:
    """One row's, with contexts of these `sizes`."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        self._program = program
        self._sizes = sizes
        self._steps_left = MAX_STEPS

    def fate(self, regs: list[Any]) -> Fate:
        """How the row with these first registers goes on."""
        return self._task(0, regs, 0)

    def _task(self, pc: int, regs: list[Any], depth: int) -> Fate:
        if depth > MAX_DEPTH:
            return None
        try:
            return self._follow(pc, regs, depth)
        except HostError:
            return None  # a try block may catch it
        except RowFailure as failure:
            return failure

    def _follow(self, pc: int, regs: list[Any], depth: int) -> Fate:
        code, sizes = self._program.plan.code, self._sizes
        while self._steps_left:
            self._steps_left -= 1
            at, i = pc, code[pc]
            pc += 1
            match i:
                case p.Eval(dst, _, args):
                    values = [regs[arg] for arg in args]
                    regs[dst] = self._program.computes[at](values, self._program.env)
                case p.Append(dst, src, text):
                    context = regs[src]
                    for part in parts_of(regs[text]):
                        context = sizes.append(context, part)
                    regs[dst] = context
                case p.Move(dsts, srcs):
                    moved = [regs[src] for src in srcs]
                    for dst, value in zip(dsts, moved, strict=True):
                        regs[dst] = value
                case p.Start(dst):
                    regs[dst] = sizes.empty
                case p.Open(dst, src, role):
                    regs[dst] = sizes.open(regs[src], role)
                case p.Close(dst, src):
                    regs[dst] = sizes.close(regs[src])
                case p.Control(dst, src, token):
                    regs[dst] = sizes.control(regs[src], token)
                case p.Gen():
                    self._gen(i, regs)
                case p.Select():
                    self._select(i, regs)
                case p.Capture(dst=dst) | p.Extern(dst=dst):
                    regs[dst] = UNKNOWN
                case p.Jump(to):
                    pc = to
                case p.Branch(condition, otherwise):
                    if not is_known(regs[condition]):
                        return self._either(otherwise, pc, regs, depth)
                    pc = pc if regs[condition] else otherwise
                case p.Next(item, items, index, done):
                    if not is_known(regs[items]):
                        regs[item] = UNKNOWN
                        return self._either(done, pc, regs, depth)
                    found = items_of(regs[items])
                    if regs[index] < len(found):
                        regs[item] = found[regs[index]]
                    else:
                        pc = done
                case p.EnterTry(handler):
                    return self._either(handler, pc, regs, depth)
                case p.Fork():
                    failure = self._fork(i, regs, depth)
                    if failure is not None:
                        return failure
                case p.Run(dst, entry):
                    fate = self._task(entry, list(regs), depth + 1)
                    if isinstance(fate, RowFailure):
                        return fate
                    regs[dst] = fate.values[0] if isinstance(fate, Ended) else UNKNOWN
                case p.Join(dst, context, base, branches):
                    if regs[branches] is UNKNOWN:
                        return None  # nor are the roles that they leave
                    joined = regs[context]
                    for branch in regs[branches]:
                        joined = sizes.joined(joined, branch, regs[base])
                    regs[dst] = joined
                case p.Fail(_, span):
                    return RowFailure("require", "", span)
                case p.End(values=ends):
                    return Ended(tuple([regs[reg] for reg in ends]))
                case p.Return():
                    return None
        return None

    def _either(self, pc: int, other: int, regs: list[Any], depth: int) -> Fate:
        """The row goes on at one of the two, nobody knows at which: what is sure in both."""
        first = self._task(pc, list(regs), depth + 1)
        if not isinstance(first, RowFailure):
            return None
        second = self._task(other, regs, depth + 1)
        if not isinstance(second, RowFailure):
            return None
        return first if first.code == "too_long" else second

    def _fork(self, i: p.Fork, regs: list[Any], depth: int) -> RowFailure | None:
        """The branches, one after another; a failure of one is the row's."""
        regs[i.group] = UNKNOWN
        if i.contexts is not None:
            regs[i.contexts] = UNKNOWN
        if not is_known(regs[i.items]):
            return None
        fates: list[Fate] = []
        for index, item in enumerate(items_of(regs[i.items])):
            inside = list(regs)
            if i.src is not None and i.arg_context is not None:
                inside[i.arg_context] = regs[i.src]
            inside[i.arg_item], inside[i.arg_index] = item, index
            fate = self._task(i.entry, inside, depth + 1)
            if isinstance(fate, RowFailure):
                return fate
            fates.append(fate)
        ends = [fate.values for fate in fates if isinstance(fate, Ended)]
        if len(ends) < len(fates):
            return None
        if i.contexts is not None:
            regs[i.contexts] = [values[0] for values in ends]
            ends = [values[1:] for values in ends]
        if all(is_known(value) for values in ends for value in values):
            regs[i.group] = [dict(zip(i.fields, values, strict=True)) for values in ends]
        return None

    # ------------------------------------------------------------ contexts

    def _gen(self, i: p.Gen, regs: list[Any]) -> None:
        """Raises RowFailure "too_long" where there is no room for its max_tokens."""
        context = regs[i.src]
        size = max(self._sizes.size(context), 1)  # the model needs a token to go on from
        options = {name: regs[reg] for name, reg in i.options}
        wanted = options.get("max_tokens")
        if wanted is None:
            wanted = Sampling().max_tokens
        if isinstance(wanted, int):
            room = size + wanted
            if i.piece is not None:
                # max_tokens of all pieces begin where the value does
                room = self._sizes.size(regs[i.piece.base]) + wanted - i.piece.reserve
            self._check(size, room, "max_tokens", context, i)
        for reg in (i.value, *(reg for _, reg in i.metas)):
            regs[reg] = UNKNOWN
        regs[i.dst] = self._sizes.answered(context, size)

    def _select(self, i: p.Select, regs: list[Any]) -> None:
        """Raises RowFailure "too_long" where there is no room for the longest choice."""
        sizes, context, choices = self._sizes, regs[i.src], regs[i.choices]
        size = max(sizes.size(context), 1)
        if is_known(choices) and isinstance(choices, list):
            texts = [choice for choice in choices if isinstance(choice, str)]
            rooms = [sizes.size(sizes.append(context, text)) for text in texts]
            self._check(size, max(rooms, default=0), "the longest choice", context, i)
            size = min(rooms, default=size)
        for reg in (i.value, *(reg for _, reg in i.metas)):
            regs[reg] = UNKNOWN
        regs[i.dst] = self._sizes.answered(context, size)

    def _check(self, size: int, room: int, what: str, context: Any, i: p.Gen | p.Select) -> None:
        most = self._program.plan.model.context_len
        if room > most:
            is_exact = self._sizes.is_exact(context)
            raise too_long(size, room - size, what, most, i.span, is_exact=is_exact)
