"""Which register holds which value while code is being emitted.

Law: two values that are live at once, one of which may still change, share no register.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, filterfalse

from sglc.codegen.instruction import Reg
from sglc.ir import ops
from sglc.ir.value_type import BranchesType, ContextType

Ids = set[int]  # of values


@dataclass(slots=True)
class Registers:
    """`live` says where each value is that may still be used; `reserved` are registers that hold
    something else: results to come, loop counters. `context_regs` ever held a context."""

    live: dict[int, Reg] = field(default_factory=dict)
    reserved: set[Reg] = field(default_factory=set)
    contexts: Ids = field(default_factory=set)  # the values that hold KV
    context_regs: set[Reg] = field(default_factory=set)
    num: int = 0

    def __getitem__(self, value: ops.Value) -> Reg:
        return self.live[value.id]

    def all(self, values: Iterable[ops.Value]) -> list[Reg]:
        return [self.live[value.id] for value in values]

    def free(self) -> Reg:
        """The lowest register that holds nothing of use."""
        taken = self.reserved.union(self.live.values())
        reg = next(filterfalse(taken.__contains__, count()))
        self.num = max(self.num, reg + 1)
        return reg

    def reserve(self) -> Reg:
        reg = self.free()
        self.reserved.add(reg)
        return reg

    def define(self, value: ops.Value) -> Reg:
        """A register for `value`, which is live from here on."""
        reg = self.free()
        self.bind([value], [reg])
        return reg

    def bind(self, values: Sequence[ops.Value], regs: Sequence[Reg]) -> None:
        """The values are in these registers from here on."""
        for value, reg in zip(values, regs, strict=True):
            self.live[value.id] = reg
            if isinstance(value.type, ContextType | BranchesType):
                self.contexts.add(value.id)
                self.context_regs.add(reg)

    def forget(self, ids: Iterable[int]) -> set[Reg]:
        """The values are used no more; the registers among theirs that hold contexts."""
        gone = {id: self.live.pop(id) for id in ids if id in self.live}
        return {reg for id, reg in gone.items() if id in self.contexts}

    def held(self) -> set[Reg]:
        """The registers of live contexts."""
        return {reg for id, reg in self.live.items() if id in self.contexts}

    def save(self) -> tuple[dict[int, Reg], set[Reg]]:
        """What holds here, for `restore` where another path starts from the same place."""
        return dict(self.live), set(self.reserved)

    def restore(self, saved: tuple[dict[int, Reg], set[Reg]]) -> None:
        live, reserved = saved
        self.live, self.reserved = dict(live), set(reserved)
