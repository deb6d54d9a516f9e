"""Host values that nobody waits for: an `Eval` of a promise yields a promise.

Where what it reads is not there yet, a task of its own waits for it and computes the value, and the
task that came to it goes on; so a row waits for a value where it is used for something else than
other values, and the work between is under way at the same time.
Law: the value's task stands in program order where its instruction stands, so the same failure is
told, and the same try block takes it, as if the row had waited.
"""

from __future__ import annotations

from sglc.codegen.instruction import Eval
from sglc.ir.host.evaluate import compile_expr
from sglc.runtime.machine.setting import Setting
from sglc.runtime.machine.task import BLOCKED, Promise, Task


class Deferred:
    """One `Eval` instruction: `now` is its meaning; `late`, which stands at `late_pc`, that of the
    task that waits, whose registers are the operands."""

    def __init__(self, i: Eval, next_pc: int, late_pc: int, setting: Setting) -> None:
        self._compute = compile_expr(i.expr)
        self._args, self._dst = i.args, i.dst
        self._next_pc = next_pc
        self._late_pc = late_pc
        self._setting = setting

    def now(self, task: Task) -> int:
        regs = task.regs
        for arg in self._args:
            promise = regs[arg]
            if promise.__class__ is Promise:
                if not promise.is_done:
                    return self._defer(task)
                regs[arg] = promise.value
        regs[self._dst] = self._compute([regs[arg] for arg in self._args], self._setting.env)
        return self._next_pc

    def _defer(self, task: Task) -> int:
        promise = Promise()
        operands = [task.regs[arg] for arg in self._args]
        late = Task(
            task.row,
            operands,
            self._late_pc,
            task.begin_value(),
            lambda values: promise.fulfil(values[0]),
        )
        late.guards = task.guards
        task.regs[self._dst] = promise
        self._awaits(late)
        return self._next_pc

    def late(self, task: Task) -> int:
        if self._awaits(task):
            return BLOCKED
        assert task.on_end is not None, "a value's task has someone to give it to"
        setting = self._setting
        for waiter in task.on_end([self._compute(task.regs, setting.env)]):
            setting.scheduler.resume(waiter, waiter.pc)
        setting.scheduler.end(task)
        return BLOCKED

    def _awaits(self, task: Task) -> bool:
        """Whether the task waits for one of its operands. Those that are there are put in place."""
        operands = task.regs
        for index, promise in enumerate(operands):
            if promise.__class__ is Promise:
                if not promise.is_done:
                    promise.waiters.append(task)
                    return True
                operands[index] = promise.value
        return False
