"""The meanings of `Fork` and `Run`: tasks that a task starts, and promises of what they yield.

Where a setting is not parallel, tasks run one after another and whoever started them waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sglc.codegen.instruction import Fork, Run
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
        self.held_back: list[Task] = []  # each starts when the one before has ended; the first last
        self.group = Promise()
        self.contexts = Promise()

    def ender(self, index: int) -> Callable[[list[Any]], list[Task]]:
        return lambda values: self._end(index, values)

    def _end(self, index: int, values: list[Any]) -> list[Task]:
        if self._has_contexts:
            self._contexts[index], *values = values
        self._records[index] = dict(zip(self._fields, values, strict=True))
        self._num_running -= 1
        if self.held_back:
            return [self.held_back.pop()]
        return self.fulfil() if not self._num_running else []

    def fulfil(self) -> list[Task]:
        return self.group.fulfil(self._records) + self.contexts.fulfil(self._contexts)


def fork(i: Fork, next_pc: int, setting: Setting) -> Callable[[Task], int]:
    """The meaning of a `Fork`: a task for each item, whose contexts go on from the one forked."""

    def step(task: Task) -> int:
        items = items_of(task.regs[i.items])
        if i.src is None or len(items) < 2:
            return _goes_on(_start_branches(i, task, items, setting), task, next_pc, setting)
        # what surely stands before the branches' own text is encoded once, not once a branch
        context: Context = task.regs[i.src]
        fixed, tail = setting.encoder.split_stable(context.pieces())
        if not fixed:
            return _goes_on(_start_branches(i, task, items, setting), task, next_pc, setting)

        def then(encoded: list[Encoded]) -> None:
            settled = setting.settler.settle(context.settled, encoded[0], task.row.bound.index)
            task.regs[i.src] = context.with_stretch(settled, tail)  # type: ignore[index]
            promise = _start_branches(i, task, items, setting)
            if _goes_on(promise, task, next_pc, setting) != BLOCKED:
                setting.scheduler.resume(task, next_pc)

        setting.dispatch.encode(task, [fixed], then)
        return BLOCKED

    return step


def _goes_on(promise: Promise, task: Task, next_pc: int, setting: Setting) -> int:
    """Where the task that started others, who make `promise`, goes on, unless it waits."""
    if setting.is_parallel or promise.is_done:
        return next_pc
    task.pc = next_pc
    promise.waiters.append(task)
    return BLOCKED


def _start_branches(i: Fork, task: Task, items: list[Value], setting: Setting) -> Promise:
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
        if setting.is_parallel or not index:
            setting.scheduler.resume(branch, i.entry)
        else:
            branches.held_back.insert(0, branch)
    if not items:
        branches.fulfil()
    task.regs[i.group] = branches.group
    if i.contexts is not None:
        task.regs[i.contexts] = branches.contexts
    return branches.group


def run(i: Run, next_pc: int, setting: Setting) -> Callable[[Task], int]:
    """The meaning of a `Run`: a task of its own, and a promise of its value."""

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
        return _goes_on(promise, task, next_pc, setting)

    return step
