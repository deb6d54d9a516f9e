"""Registers of emitted code: all is reachable, contexts are dropped at their last use."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from sglc.codegen import instruction as p
from sglc.codegen.emit import emit
from sglc.codegen.listing import listing
from sglc.compiler.check import check
from sglc.compiler.lower.module import lower
from sglc.passes import PIPELINE, run_pipeline

OPTIONAL = [each.name for each in PIPELINE if each.is_optimization]


def test_code_is_well_formed(program_text: str) -> None:
    """Targets and registers exist, and no instruction is out of reach."""
    emitted = emit(run_pipeline(lower(check(None, program_text))).program)
    targets = {0}
    for at, instruction in enumerate(emitted.code):
        names = {field.name for field in fields(instruction)}
        targets |= {
            getattr(instruction, name)
            for name in names & {"to", "otherwise", "done", "entry", "handler"}
        }
        if not isinstance(instruction, p.Jump | p.End | p.Return | p.Fail):
            targets.add(at + 1)
    assert targets == set(range(len(emitted.code)))


@pytest.mark.parametrize("skip", [(), OPTIONAL], ids=["optimized", "plain"])
def test_no_context_is_held_after_its_last_use(program_text: str, skip: Any) -> None:
    """Liveness of registers, found anew from the code alone: where a register holds a context that
    no path will read, a Drop of it is what comes next, unless the row is about to fail."""
    code = emit(run_pipeline(lower(check(None, program_text)), skip=skip).program).code
    after = _successors(code)
    held, live = _held(code, after), _live(code, after)
    doomed = {at for at, i in enumerate(code) if isinstance(i, p.Fail)}
    for at in reversed(range(len(code))):
        doomed |= {at} if after[at] and after[at] <= doomed else set()
    for at in range(len(code)):
        for to in after[at] - doomed:
            for reg in held[at, to] - live[to]:
                assert _drops_next(code, to, reg), "\n".join([f"r{reg} at {at}", *listing(code)])


def test_registers_are_used_again() -> None:
    chain = "\n".join(f'    "{n}{{x}}"' for n in range(50))
    emitted = emit(lower(check(None, f"program p(x: str):\n{chain}\n    gen y\n")).program)
    assert emitted.num_regs <= 4


CONTEXT_MAKERS = (p.Start, p.Append, p.Control, p.Open, p.Close, p.Gen, p.Select, p.Join)


def _writes(i: p.Instruction) -> set[int]:
    match i:
        case p.Gen() | p.Select():
            return {i.dst, i.value, *(reg for _, reg in i.metas)}
        case p.Move(dsts=dsts):
            return set(dsts)
        case p.Drop(regs=regs):
            return set(regs)
        case p.Next(item=item):
            return {item}
        case p.Fork():
            return {i.group} if i.contexts is None else {i.group, i.contexts}
        case _:
            return {i.dst} if hasattr(i, "dst") else set()


def _reads(i: p.Instruction) -> set[int]:
    found: set[int] = set()
    names = {"src", "text", "choices", "temperature", "before", "after", "context", "base"}
    names |= {"branches", "condition", "items", "index", "message", "value", "args", "srcs"}
    names |= {"values", "options", "path"}
    if isinstance(i, p.Gen | p.Select):
        names -= {"value"}
    if isinstance(i, p.Fork):
        names -= {"index"}
    if isinstance(i, p.Gen) and i.piece is not None:
        found.add(i.piece.base)
    for name in names & {field.name for field in fields(i)}:
        part = getattr(i, name)
        for item in part if isinstance(part, tuple) else (part,):
            if isinstance(item, p.PathReg):
                found.add(item.reg)
            elif isinstance(item, tuple):
                found.add(item[1])
            elif isinstance(item, int) and name != "path":
                found.add(item)
    return found


def _successors(code: Any) -> list[set[int]]:
    """Where each instruction can go on, in this task or in one that it starts."""
    after: list[set[int]] = []
    for at, i in enumerate(code):
        names = {field.name for field in fields(i)} & {"to", "otherwise", "done", "entry"}
        to = {getattr(i, name) for name in names}
        if not isinstance(i, p.Jump | p.End | p.Return | p.Fail):
            to.add(at + 1)
        after.append(to)
    for at, i in enumerate(code):
        if isinstance(i, p.EnterTry):
            for inside in _inside_try(after, code, at):
                after[inside].add(i.handler)
    return after


def _inside_try(after: list[set[int]], code: Any, enter: int) -> set[int]:
    """The instructions from an EnterTry to its LeaveTry at which its handler can take over: those
    that fail, and the LeaveTry, which waits for other tasks that may."""
    seen: set[tuple[int, int]] = set()
    waiting = [(enter + 1, 1)]
    while waiting:
        at, depth = waiting.pop()
        if (at, depth) in seen or depth == 0:
            continue
        seen.add((at, depth))
        change = {p.EnterTry: 1, p.LeaveTry: -1}.get(type(code[at]), 0)
        own = after[at] - {getattr(code[at], "entry", None)}
        waiting.extend((to, depth + change) for to in own)
    failing = p.Eval | p.Extern | p.Select | p.LeaveTry
    return {at for at, _ in seen if isinstance(code[at], failing)}


def _held(code: Any, after: list[set[int]]) -> dict[tuple[int, int], set[int]]:
    """The registers that may hold a context on the way from one instruction to another."""
    before: list[set[int]] = [set() for _ in code]
    held: dict[tuple[int, int], set[int]] = {}
    changed = True
    while changed:
        changed = False
        for at, i in enumerate(code):
            new = before[at] - _writes(i)
            if isinstance(i, CONTEXT_MAKERS):
                new.add(i.dst)
            if isinstance(i, p.Move):
                new |= {d for d, s in zip(i.dsts, i.srcs, strict=True) if s in before[at]}
            if isinstance(i, p.Fork) and i.contexts is not None:
                new.add(i.contexts)
            for to in after[at]:
                # a failing instruction leaves its result as it was
                arrives = new | before[at] if isinstance(i, p.Eval | p.Extern) else set(new)
                if isinstance(i, p.Fork) and to == i.entry:
                    arrives = before[at] | ({i.arg_context} if i.src is not None else set())
                    arrives -= {i.arg_item, i.arg_index}
                if isinstance(i, p.Run) and to == i.entry:
                    arrives = before[at]
                held[at, to] = arrives
                if not arrives <= before[to]:
                    before[to] |= arrives
                    changed = True
    return held


def _live(code: Any, after: list[set[int]]) -> list[set[int]]:
    """The registers that some path reads from each instruction on."""
    live: list[set[int]] = [set() for _ in code]
    changed = True
    while changed:
        changed = False
        for at in reversed(range(len(code))):
            i = code[at]
            out = set().union(*(live[to] for to in after[at])) if after[at] else set()
            if isinstance(i, p.Fork | p.Run):
                out |= live[i.entry]
            new = (out - _writes(i)) | _reads(i)
            if new != live[at]:
                live[at] = new
                changed = True
    return live


def _drops_next(code: Any, at: int, reg: int) -> bool:
    """Is `reg` dropped from `at` on before anything but moves and jumps, or the task at its end?"""
    while True:
        i = code[at]
        if isinstance(i, p.Drop) and reg in i.regs:
            return True
        if isinstance(i, p.Return | p.Fail) or reg in _writes(i):
            return True
        if isinstance(i, p.Jump):
            at = i.to
        elif isinstance(i, p.Move | p.LeaveTry | p.Drop):
            at += 1
        else:
            return False
