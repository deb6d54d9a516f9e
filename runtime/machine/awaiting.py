"""Waiting for promises: which registers an instruction reads, and how it waits for them.

Knows nothing about what instructions do.
"""

from __future__ import annotations

from collections.abc import Callable

from sglc.codegen import instruction as p
from sglc.runtime.machine.task import BLOCKED, Promise, Task

Meaning = Callable[[Task], int]


def reads_of(instruction: p.Instruction) -> tuple[p.Reg, ...]:
    """The registers whose values the instruction needs. `Move` needs none: it moves promises as
    they are."""
    match instruction:
        case p.Append(src=src, text=text):
            return (src, text)
        case p.Control(src=src) | p.Open(src=src) | p.Close(src=src):
            return (src,)
        case p.Gen():
            options = tuple(reg for _, reg in instruction.options)
            base = () if instruction.piece is None else (instruction.piece.base,)
            return (instruction.src, *base, *options, *_path_reads(instruction.path))
        case p.Select():
            own = (instruction.src, instruction.choices, *_path_reads(instruction.path))
            return own if instruction.temperature is None else (*own, instruction.temperature)
        case p.Capture(before=before, after=after):
            return (before, after)
        case p.Join(context=context, base=base, branches=branches):
            return (context, base, branches)
        case p.Eval(args=args):
            return args
        case p.Extern():
            return (*instruction.args, *_path_reads(instruction.path))
        case p.Branch(condition=condition):
            return (condition,)
        case p.Next(items=items, index=index):
            return (items, index)
        case p.Fork(src=src, items=items):
            return (items,) if src is None else (src, items)
        case p.End(values=values):
            return values
        case p.Fail(message=message):
            return (message,)
        case p.Return(context=context, value=value):
            return (context, value)
        case _:
            return ()


def _path_reads(path: p.Path) -> tuple[p.Reg, ...]:
    return tuple(item.reg for item in path if isinstance(item, p.PathReg))


def awaiting(plain: Meaning, reads: tuple[p.Reg, ...], index: int) -> Meaning:
    """The instruction at `index`, run once none of the registers it reads is an open promise."""

    def step(task: Task) -> int:
        regs = task.regs
        for reg in reads:
            promise = regs[reg]
            if promise.__class__ is Promise:
                if not promise.is_done:
                    task.pc = index
                    promise.waiters.append(task)
                    return BLOCKED
                regs[reg] = promise.value
        return plain(task)

    return step
