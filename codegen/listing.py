"""A plan's instructions as text for people: one a line, registers as `r3`, targets as `-> 12`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sglc.codegen import instruction as p
from sglc.ir.textual.exprs import expr_text


def listing(code: Sequence[p.Instruction]) -> list[str]:
    """A line for each instruction, its index first."""
    width = len(str(len(code)))
    return [f"{at:{width}}  {instruction_text(i)}" for at, i in enumerate(code)]


def instruction_text(i: p.Instruction) -> str:
    """What the instruction does, as `results = operation operands`."""
    match i:
        case p.Start(dst):
            return f"r{dst} = start"
        case p.Append(dst, src, text):
            return f"r{dst} = append r{src}, r{text}"
        case p.Control(dst, src, token):
            return f"r{dst} = control r{src}, {json.dumps(token, ensure_ascii=False)}"
        case p.Open(dst, src, role):
            return f"r{dst} = open r{src}, {role}"
        case p.Close(dst, src):
            return f"r{dst} = close r{src}"
        case p.Gen():
            results = _regs((i.dst, i.value, *(reg for _, reg in i.metas)))
            name = f" {i.name}" if i.name else ""
            thinking = " with reasoning" if i.splits_reasoning else ""
            options = f"({_pairs(i.options)})" if i.options else ""
            bound = "" if i.constraint is None else f" by constraint {i.constraint}"
            if i.piece is not None:
                bound += f" since r{i.piece.base}, {i.piece.reserve} tokens kept"
            kind = f"{i.type}{options}{thinking}{bound}"
            return f"{results} = gen r{i.src}{name}: {kind} {_place(i)}"
        case p.Select():
            results = _regs((i.dst, i.value, *(reg for _, reg in i.metas)))
            name = f" {i.name}" if i.name else ""
            heat = "" if i.temperature is None else f", temperature=r{i.temperature}"
            chosen = f"from r{i.choices} ({i.method}{heat})"
            return f"{results} = select r{i.src}{name} {chosen} {_place(i)}"
        case p.Capture(dst, before, after):
            return f"r{dst} = capture r{before}, r{after}"
        case p.Join(dst, context, base, branches):
            return f"r{dst} = join r{context}, r{branches} since r{base}"
        case p.Eval(dst, expr, args):
            return f"r{dst} = {expr_text(expr, lambda k: f'r{args[k]}')}"
        case p.Move(dsts, srcs):
            return f"{_regs(dsts)} = {_regs(srcs)}"
        case p.Extern():
            return f"r{i.dst} = extern {i.name}({_regs(i.args)}) {_place(i)}"
        case p.Drop(regs):
            return f"drop {_regs(regs)}"
        case _:
            return _control_text(i)


def _control_text(i: p.Instruction) -> str:
    match i:
        case p.Jump(to):
            return f"jump -> {to}"
        case p.Branch(condition, otherwise):
            return f"unless r{condition} -> {otherwise}"
        case p.Next(item, items, index, done):
            return f"r{item} = next of r{items} at r{index}, at the end -> {done}"
        case p.Fork():
            results = _regs((i.group,) if i.contexts is None else (i.group, i.contexts))
            args = tuple(r for r in (i.arg_context, i.arg_item, i.arg_index) if r is not None)
            source = "" if i.src is None else f"r{i.src} "
            fields = f" yielding {', '.join(i.fields)}" if i.fields else ""
            return (
                f"{results} = fork {source}over r{i.items} with {_regs(args)}{fields} -> {i.entry}"
            )
        case p.Run(dst, entry):
            return f"r{dst} = run -> {entry}"
        case p.End(values):
            return f"end {_regs(values)}".rstrip()
        case p.EnterTry(handler):
            return f"try, on failure -> {handler}"
        case p.LeaveTry():
            return "end of try"
        case p.Fail(message):
            return f"fail r{message}"
        case p.Return(context, value):
            return f"return r{value} after r{context}"
        case _:
            raise AssertionError(f"no text for {type(i).__name__}")


def _regs(regs: Iterable[p.Reg]) -> str:
    return ", ".join(f"r{reg}" for reg in regs)


def _pairs(pairs: Iterable[tuple[str, p.Reg]]) -> str:
    return ", ".join(f"{name}=r{reg}" for name, reg in pairs)


def _place(i: p.Gen | p.Select | p.Extern) -> str:
    path = ".".join(str(item) if isinstance(item, int) else f"r{item.reg}" for item in i.path)
    return f"at {path}, once for all rows" if i.is_shared else f"at {path}"
