"""Emitted code means what the IR means: two interpreters, one answer.

The programs are those of the lowering cases and some that nest what they do not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sglc.codegen import plan as p
from sglc.codegen.emit import emit
from sglc.codegen.listing import listing
from sglc.compiler.check import check
from sglc.compiler.lower.module import lower
from sglc.ir import types as t
from sglc.ir.host.evaluate import evaluate
from sglc.ir.interpret import interpret
from sglc.ir.module import Module
from sglc.ir.testing import EXTERNS, random_module, random_row
from sglc.ir.toy import ToyModel
from sglc.passes import PIPELINE, run_pipeline

CASES = Path(__file__).parents[1] / "compiler" / "lowering"
OPTIONAL = [each.name for each in PIPELINE if each.is_optimization]

NESTED = {
    "groups bound again, in arms and in rounds, and joined": """
program p(xs: list[str], n: int):
    "start"
    fork x in xs as g:
        "{x}"
        gen b
    for x in xs:
        if x == "a":
            fork 2 as h:
                gen c
        else:
            "between"
            fork n as h:
                gen c(temperature=0)
                "{i}"
        join h
        join g
        gen d
    return [g.b, n]
""",
    "runs that outlive the loop that started them": """
def ask(q: str) -> str:
    "{q}"
    gen reply
    require reply != "cab", "cab"
    return reply

program p(xs: list[str], n: int):
    let last = ""
    let kept = []
    for x in xs:
        let one = run ask(x)
        kept = kept + [run ask(last)]
        last = one
    let safe = try([run ask(k) for k in kept], [last])
    return {"safe": safe, "kept": kept}
""",
    "loops in branches in loops": """
program p(xs: list[str], n: int):
    let all = []
    for x in xs:
        user "{x}"
        fork y in xs as inner:
            assistant:
                for z in xs:
                    gen part(max_tokens=n)
                    if part == "":
                        break
                    "{z}"
                gen whole
        join inner
        if len(inner) > 1 and inner[0].whole == inner[1].whole:
            continue
        assistant:
            gen last
            if last == "":
                break
    "the end"
""".replace('    "the end"\n', '    user "the end"\n'),
    "tries in loops, externs that fail": """
extern f(x: int) -> int

program p(xs: list[int]):
    let sum_of = 0
    for x in xs:
        let y = try(f(x), try(f(f(x)), -1))
        sum_of = sum_of + y
        "{y}"
        gen word
        let z = try(parse_json(word), sum_of)
    require sum_of < 100, "too much: {sum_of}"
    return [sum_of, f(1)]
""",
    "early returns of fragments in all places": """
def search(xs: list[str], stop: str) -> str:
    for x in xs:
        "{x}"
        gen found
        if found == stop:
            return x
        for y in xs:
            if y == stop:
                return found
    while true max 2:
        gen again
        if len(again) > 3:
            return again
    return "none"

program p(xs: list[str], stop: str):
    let a = search(xs, stop)
    fork x in xs as g:
        let b = search(xs, x)
        gen c
    let d = run search(xs, a)
    let e = [run search(xs, x) for x in xs if x != a]
    join g
    if a == "none":
        let h = search(g.c, stop)
        return [a, h]
    return [a, d, e]
""",
    "contexts that end on some paths only": """
program p(xs: list[str], n: int):
    "start"
    capture head:
        gen a
    fork x in xs as g:
        "{x}"
        gen b
    if n > 2:
        join g
        gen c
    elif n > 1:
        gen c
    else:
        let c = head
    while len(c) < 5 max n:
        select d from ["x", "yy", c]
        c = c + d if d != "" else c
    return [head, c]
""".replace('        c = c + d if d != "" else c\n', "        if d == c:\n            break\n"),
}


def _programs() -> list[Any]:
    found = [pytest.param(text, id=title) for title, text in NESTED.items()]
    for file in sorted(CASES.glob("*.txt")):
        for block in file.read_text(encoding="utf-8").split("=== ")[1:]:
            title, _, rest = block.partition("\n")
            found.append(pytest.param(rest.partition("--->\n")[0], id=f"{file.stem}: {title}"))
    return found


def _value(type: t.Type, draw: random.Random) -> Any:
    match type:
        case t.IntType():
            return draw.randrange(-1, 4)
        case t.FloatType():
            return draw.choice([0.0, 0.5, 2.0])
        case t.BoolType():
            return draw.random() < 0.5
        case t.ListType(item=item):
            return [_value(item, draw) for _ in range(draw.randrange(4))]
        case t.JsonType():
            return [[draw.randrange(3), "v"] for _ in range(draw.randrange(3))]
        case _:
            return draw.choice(["", "a", "b", "abc", "stop"])


def _externs(module: Module) -> dict[str, Callable[..., Any]]:
    """Functions of their arguments alone, some of which raise."""

    def make(type: t.Type) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            draw = random.Random(repr(args))
            if draw.random() < 0.3:
                raise ValueError("no luck")
            return _value(type, draw)

        return function

    return {extern.name: make(extern.result) for extern in module.externs}


@pytest.mark.parametrize("text", _programs())
def test_code_means_what_the_ir_means(text: str, execute: Any) -> None:
    module = lower(check(None, text))
    draw = random.Random(text)
    for skip in ((), OPTIONAL):
        final = run_pipeline(module, skip=skip)
        emitted = emit(final.program)
        for seed in range(12):
            row = {
                param.value.name: _value(param.value.type, draw) for param in module.program.params
            }
            externs = _externs(module)
            meant = interpret(module, row, ToyModel(seed), externs)
            expected = interpret(final, row, ToyModel(seed), externs)
            assert expected.value == meant.value, "a pass is wrong"
            assert expected.failure == meant.failure, "a pass is wrong"
            found = execute(
                emitted.code, emitted.num_regs, list(row.values()), ToyModel(seed), externs
            )
            assert found == expected, "\n".join(listing(emitted.code))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 2**32))
def test_code_of_random_modules_means_what_the_ir_means(execute: Any, seed: int) -> None:
    draw = random.Random(seed)
    module = random_module(draw)
    final = run_pipeline(module, skip=draw.choice([[], OPTIONAL]))
    row = random_row(random.Random(seed))
    values = [
        row[param.value.name]
        if param.value.name in row or param.default is None
        else evaluate(param.default)
        for param in final.program.params
    ]
    emitted = emit(final.program)
    found = execute(emitted.code, emitted.num_regs, values, ToyModel(seed), EXTERNS)
    assert found == interpret(final, row, ToyModel(seed), EXTERNS), listing(emitted.code)


@pytest.mark.parametrize("text", _programs())
def test_code_is_well_formed(text: str) -> None:
    """Targets and registers exist, and no instruction is out of reach."""
    emitted = emit(run_pipeline(lower(check(None, text))).program)
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
@pytest.mark.parametrize("text", _programs())
def test_no_context_is_held_after_its_last_use(text: str, skip: Any) -> None:
    """Liveness of registers, found anew from the code alone: where a register holds a context that
    no path will read, a Drop of it is what comes next, unless the row is about to fail."""
    code = emit(run_pipeline(lower(check(None, text)), skip=skip).program).code
    after = _successors(code)
    held, live = _held(code, after), _live(code, after)
    doomed = {at for at, i in enumerate(code) if isinstance(i, p.Fail)}
    for at in reversed(range(len(code))):
        doomed |= {at} if after[at] and after[at] <= doomed else set()
    for at in range(len(code)):
        for to in after[at] - doomed:
            for reg in held[at, to] - live[to]:
                assert _drops_next(code, to, reg), "\n".join([f"r{reg} at {at}", *listing(code)])


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


def test_registers_are_used_again() -> None:
    chain = "\n".join(f'    "{n}{{x}}"' for n in range(50))
    emitted = emit(lower(check(None, f"program p(x: str):\n{chain}\n    gen y\n")).program)
    assert emitted.num_regs <= 4
