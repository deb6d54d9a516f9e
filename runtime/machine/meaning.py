"""What each instruction of a plan does: a function from a task to the next instruction's index.

`meanings` compiles a plan's code to closures, once. A closure reads and writes the task's
registers; it returns BLOCKED when the task must wait, and whoever ends the wait resumes it.
Law: a closure either fails (HostError, RowFailure) or leaves the task at the returned instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from sglc.codegen import instruction as p
from sglc.ir.host.evaluate import compile_expr
from sglc.ir.host.expr import Value
from sglc.ir.host.operators import items_of
from sglc.ir.span import Span
from sglc.runtime.machine.awaiting import Meaning, awaiting, reads_of
from sglc.runtime.machine.choose import Choose
from sglc.runtime.machine.context import Context
from sglc.runtime.machine.deferred import Deferred
from sglc.runtime.machine.generate import Generate
from sglc.runtime.machine.setting import Setting
from sglc.runtime.machine.spawn import fork, run
from sglc.runtime.machine.task import BLOCKED, Guard, Task
from sglc.runtime.row import RowFailure


def meanings(
    code: Sequence[p.Instruction], setting: Setting
) -> tuple[list[Meaning], list[Span | None]]:
    """The closure of each instruction, and where the instruction came from, if it says so. A
    closure waits first for the promises among what it reads; that of an `Eval` goes on, and what it
    does when they are there stands behind the code."""
    makes_promises = any(isinstance(instruction, p.Fork | p.Run) for instruction in code)
    closures: list[Meaning] = []
    behind: list[Meaning] = []
    spans = [_span_of(instruction) for instruction in code]
    for index, instruction in enumerate(code):
        reads = reads_of(instruction)
        if not (makes_promises and reads):
            closures.append(_plain_meaning(instruction, index + 1, setting))
        elif isinstance(instruction, p.Eval):
            deferred = Deferred(instruction, index + 1, len(code) + len(behind), setting)
            closures.append(deferred.now)
            behind.append(deferred.late)
            spans.append(instruction.span)
        else:
            plain = _plain_meaning(instruction, index + 1, setting)
            closures.append(awaiting(plain, reads, index))
    return closures + behind, spans


def _span_of(instruction: p.Instruction) -> Span | None:
    return getattr(instruction, "span", None)


def _plain_meaning(instruction: p.Instruction, next_pc: int, setting: Setting) -> Meaning:
    match instruction:
        case p.Start():
            return _start(instruction, next_pc, setting)
        case p.Append():
            return _append(instruction, next_pc, setting)
        case p.Control():
            return _control(instruction, next_pc, setting)
        case p.Open():
            return _open(instruction, next_pc, setting)
        case p.Close():
            return _close(instruction, next_pc, setting)
        case p.Gen():
            return Generate(instruction, next_pc, setting)
        case p.Select():
            return Choose(instruction, next_pc, setting)
        case p.Capture():
            return _capture(instruction, next_pc)
        case p.Join():
            return _join(instruction, next_pc, setting)
        case p.Eval():
            return _eval(instruction, next_pc, setting)
        case p.Move():
            return _move(instruction, next_pc)
        case p.Extern():
            return _extern(instruction, next_pc, setting)
        case p.Drop():
            return _drop(instruction, next_pc)
        case p.Jump(to):
            return lambda task: to
        case p.Branch():
            return _branch(instruction, next_pc)
        case p.Next():
            return _next(instruction, next_pc)
        case p.Fork():
            return fork(instruction, next_pc, setting)
        case p.Run():
            return run(instruction, next_pc, setting)
        case p.End():
            return _end(instruction, setting)
        case p.EnterTry():
            return _enter_try(instruction, next_pc)
        case p.LeaveTry():
            return _leave_try(next_pc, setting)
        case p.Fail():
            return _fail(instruction)
        case p.Return():
            return _return(instruction, setting)


# ---------------------------------------------------------------- contexts


def _start(i: p.Start, next_pc: int, setting: Setting) -> Meaning:
    empty = setting.settler.empty_context()

    def step(task: Task) -> int:
        task.regs[i.dst] = empty
        return next_pc

    return step


def _append(i: p.Append, next_pc: int, setting: Setting) -> Meaning:
    dst, src, text, markup = i.dst, i.src, i.text, setting.markup

    def step(task: Task) -> int:
        regs = task.regs
        regs[dst] = regs[src].append(regs[text], markup)
        return next_pc

    return step


def _control(i: p.Control, next_pc: int, setting: Setting) -> Meaning:
    token_id = setting.tokenizer.control_id(i.token)
    if token_id is None:
        raise ValueError(f"the model has no control token {i.token!r}")

    def step(task: Task) -> int:
        task.regs[i.dst] = task.regs[i.src].control(token_id, setting.markup)
        return next_pc

    return step


def _open(i: p.Open, next_pc: int, setting: Setting) -> Meaning:
    dst, src, role, markup = i.dst, i.src, i.role, setting.markup

    def step(task: Task) -> int:
        regs = task.regs
        regs[dst] = regs[src].open(role, markup)
        return next_pc

    return step


def _close(i: p.Close, next_pc: int, setting: Setting) -> Meaning:
    dst, src, markup = i.dst, i.src, setting.markup

    def step(task: Task) -> int:
        regs = task.regs
        regs[dst] = regs[src].close(markup)
        return next_pc

    return step


def _capture(i: p.Capture, next_pc: int) -> Meaning:
    def step(task: Task) -> int:
        regs = task.regs
        regs[i.dst] = regs[i.after].text_since(regs[i.before])
        return next_pc

    return step


def _join(i: p.Join, next_pc: int, setting: Setting) -> Meaning:
    def step(task: Task) -> int:
        regs = task.regs
        context: Context = regs[i.context]
        for branch in regs[i.branches]:
            context = context.joined(branch, regs[i.base], setting.markup)
        regs[i.dst] = context
        return next_pc

    return step


# ---------------------------------------------------------------- host values


def _eval(i: p.Eval, next_pc: int, setting: Setting) -> Meaning:
    compute, env, dst, args = compile_expr(i.expr), setting.env, i.dst, i.args

    def step(task: Task) -> int:
        regs = task.regs
        regs[dst] = compute([regs[arg] for arg in args], env)
        return next_pc

    return step


def _move(i: p.Move, next_pc: int) -> Meaning:
    if len(i.srcs) == 1:
        (dst,), (src,) = i.dsts, i.srcs

        def step(task: Task) -> int:
            task.regs[dst] = task.regs[src]
            return next_pc

        return step
    if not i.srcs:
        return lambda task: next_pc
    read = itemgetter(*i.srcs)

    def step_all(task: Task) -> int:
        regs = task.regs
        for dst, value in zip(i.dsts, read(regs), strict=True):
            regs[dst] = value
        return next_pc

    return step_all


def _extern(i: p.Extern, next_pc: int, setting: Setting) -> Meaning:
    is_merged = i.is_shared or i.name in setting.pure_calls.merged

    def step(task: Task) -> int:
        def then(answer: Value | RowFailure) -> None:
            if isinstance(answer, RowFailure):
                setting.scheduler.fault(task, answer, is_catchable=True)
                return
            task.regs[i.dst] = answer
            setting.scheduler.resume(task, next_pc)

        args = [task.regs[arg] for arg in i.args]
        if is_merged:
            setting.pure_calls.call(i.name, args, task, then, is_shared=i.is_shared)
        else:
            setting.externs.call(i.name, args, task, then)
        return BLOCKED

    return step


def _drop(i: p.Drop, next_pc: int) -> Meaning:
    dropped = i.regs

    def step(task: Task) -> int:
        regs = task.regs
        for reg in dropped:
            regs[reg] = None
        return next_pc

    return step


# ---------------------------------------------------------------- control


def _branch(i: p.Branch, next_pc: int) -> Meaning:
    condition, otherwise = i.condition, i.otherwise
    return lambda task: next_pc if task.regs[condition] else otherwise


def _next(i: p.Next, next_pc: int) -> Meaning:
    def step(task: Task) -> int:
        regs = task.regs
        items, index = regs[i.items], regs[i.index]
        if not isinstance(items, list | str):
            items = items_of(items)
        if index >= len(items):
            return i.done
        regs[i.item] = items[index]
        return next_pc

    return step


def _end(i: p.End, setting: Setting) -> Meaning:
    def step(task: Task) -> int:
        assert task.on_end is not None, "End outside a fork and a run"
        values = [task.regs[reg] for reg in i.values]
        if setting.keeps_trace:
            has_context = values and isinstance(values[0], Context)
            context = values[0] if has_context else task.last_context
            if context is not None:
                task.row.contexts.append((task.order, context))
        for waiter in task.on_end(values):
            setting.scheduler.resume(waiter, waiter.pc)
        setting.scheduler.end(task)
        return BLOCKED

    return step


def _enter_try(i: p.EnterTry, next_pc: int) -> Meaning:
    def step(task: Task) -> int:
        task.guards = (*task.guards, Guard(i.handler, task))
        task.begin_event()  # what is inside the block is told from what stands before it
        return next_pc

    return step


def _leave_try(next_pc: int, setting: Setting) -> Meaning:
    def step(task: Task) -> int:
        if len(task.row.tasks) == 1:
            task.guards = task.guards[:-1]
            return next_pc
        setting.scheduler.leave_guard(task)
        return BLOCKED

    return step


def _fail(i: p.Fail) -> Meaning:
    def step(task: Task) -> int:
        raise RowFailure("require", task.regs[i.message], i.span)

    return step


def _return(i: p.Return, setting: Setting) -> Meaning:
    def step(task: Task) -> int:
        task.row.output = task.regs[i.value]
        if setting.keeps_trace:
            task.row.contexts.append((task.order, task.regs[i.context]))
        setting.scheduler.end(task)
        return BLOCKED

    return step
