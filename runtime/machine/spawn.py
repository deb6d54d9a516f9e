"""The meanings of `Fork` and `Run`: tasks that a task starts, and promises of what they yield."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sglc.codegen.plan import Fork, Run
from sglc.ir.host.expr import Value
from sglc.ir.host.operators import items_of
from sglc.runtime.machine.context import Context
from sglc.runtime.machine.setting import Setting
from sglc.runtime.machine.stretch import Encoded
from sglc.runtime.machine.task import BLOCKED, Promise, Task


class _Branches:
    """What the branches of one fork end with: records by `fields`, and contexts if it has any."""

    def __init__(self, fork: Fork, num_branches: int) -> None:
        self._fields = fork.fields
        self._has_contexts = fork.src is not None
        self._records: list[Value] = [None] * num_branches
        self._contexts: list[Context | None] = [None] * num_branches
        self._num_running = num_branches
        self.group = Promise()
        self.contexts = Promise()

    def ender(self, index: int) -> Callable[[list[Any]], list[Task]]:
        return lambda values: self._end(index, values)

    def _end(self, index: int, values: list[Any]) -> list[Task]:
        if self._has_contexts:
            self._contexts[index], *values = values
        self._records[index] = dict(zip(self._fields, values, strict=True))
        self._num_running -= 1
        return self.fulfil() if not self._num_running else []

    def fulfil(self) -> list[Task]:
        return self.group.fulfil(self._records) + self.contexts.fulfil(self._contexts)


def fork(i: Fork, next_pc: int, setting: Setting) -> Callable[[Task], int]:
    def step(task: Task) -> int:
        items = items_of(task.regs[i.items])
        if i.src is None or len(items) < 2:
            _start_branches(i, task, items, setting)
            return next_pc
        # what surely stands before the branches' own text is encoded once, not once a branch
        context: Context = task.regs[i.src]
        fixed, tail = setting.encoder.split_stable(context.pieces())
        if not fixed:
            _start_branches(i, task, items, setting)
            return next_pc

        def then(encoded: list[Encoded]) -> None:
            settled = setting.settler.settle(context.settled, encoded[0])
            task.regs[i.src] = context.with_stretch(settled, tail)  # type: ignore[index]
            _start_branches(i, task, items, setting)
            setting.scheduler.resume(task, next_pc)

        setting.dispatch.encode(task, [fixed], then)
        return BLOCKED

    return step


def _start_branches(i: Fork, task: Task, items: list[Value], setting: Setting) -> None:
    branches = _Branches(i, len(items))
    order = task.begin_event()
    for index, item in enumerate(items):
        regs = list(task.regs)
        if i.src is not None and i.arg_context is not None:
            regs[i.arg_context] = task.regs[i.src]
        regs[i.arg_item] = item
        regs[i.arg_index] = index
        branch = Task(task.row, regs, i.entry, (*order, index), branches.ender(index))
        branch.guards = task.guards
        setting.scheduler.resume(branch, i.entry)
    if not items:
        branches.fulfil()
    task.regs[i.group] = branches.group
    if i.contexts is not None:
        task.regs[i.contexts] = branches.contexts


def run(i: Run, next_pc: int, setting: Setting) -> Callable[[Task], int]:
    def step(task: Task) -> int:
        promise = Promise()
        started = Task(
            task.row,
            list(task.regs),
            i.entry,
            task.begin_event(),
            lambda values: promise.fulfil(values[0]),
        )
        started.guards = task.guards
        task.regs[i.dst] = promise
        setting.scheduler.resume(started, i.entry)
        return next_pc

    return step
