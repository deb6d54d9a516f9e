"""How much KV one row takes, as a sum over what the program appends and generates.

Read off the plan's code, so it holds for any rows; each instruction counts once, however often a
loop or a fork comes to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sglc.codegen import instruction as p
from sglc.codegen.plan import Plan
from sglc.ir.host.expr import Const, Expr, Field, Format, JsonConst, Operand
from sglc.ir.host.text import to_text
from sglc.runtime.engine.request import Sampling
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.planner.facts import RowKV

ITEM = "item"  # what an item of a loop or fork is called


@dataclass(frozen=True, slots=True)
class _Text:
    """What a register holds: constant pieces, names of values, and the names that these were made
    from; of a context, the role that was opened last."""

    parts: tuple[str, ...]
    names: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    number: int | None = None  # if it is a constant whole number
    role: str = ""


_EMPTY = _Text(())


def row_kv(plan: Plan, tokenizer: Tokenizer) -> RowKV:
    """The formula of one row's KV tokens."""
    walk = _Walk(plan, tokenizer)
    walk.run(0, {param.reg: _named(param.name) for param in plan.params})
    return RowKV(walk.const_tokens, tuple(walk.inputs.items()), tuple(walk.gens), walk.is_exact)


@dataclass(slots=True)
class _Walk:
    plan: Plan
    tokenizer: Tokenizer
    const_tokens: int = 0
    inputs: Counter[str] = field(default_factory=Counter)
    gens: list[tuple[str, int | None]] = field(default_factory=list)
    is_exact: bool = True
    seen: set[int] = field(default_factory=set)
    records: set[tuple[str, int]] = field(default_factory=set)

    def run(self, pc: int, regs: dict[int, _Text]) -> None:
        """Follow a task from `pc` on, with what its registers hold."""
        while pc not in self.seen:
            self.seen.add(pc)
            i = self.plan.code[pc]
            pc += 1
            match i:
                case p.End() | p.Return():
                    return
                case p.Jump(to):
                    pc = max(pc, to)
                case p.Branch() | p.EnterTry():
                    self.is_exact = False
                case p.Next(item=item, items=items):
                    self.is_exact = False
                    regs[item] = _item(regs.get(items))
                case p.Fork():
                    self.is_exact = False
                    branch = {**regs, i.arg_item: _item(regs.get(i.items))}
                    if i.src is not None and i.arg_context is not None:
                        _go_on(branch, i.arg_context, i.src)
                    self.run(i.entry, branch)
                case p.Run(entry=entry):
                    self.run(entry, dict(regs))
                case _:
                    self.count(i, regs)

    def count(self, i: p.Instruction, regs: dict[int, _Text]) -> None:
        match i:
            case p.Start(dst):
                regs[dst] = _EMPTY
            case p.Append(dst, src, text):
                self.append(regs.get(text))
                _go_on(regs, dst, src)
            case p.Control(dst, src):
                self.const_tokens += 1
                _go_on(regs, dst, src)
            case p.Open(dst, src, role):
                _go_on(regs, dst, src)
                self.markup(self.plan.markup.opening.get((regs[dst].role, role), ()))
                regs[dst] = _Text((), role=role)
            case p.Close(dst, src):
                _go_on(regs, dst, src)
                self.markup(self.plan.markup.closing.get(regs[dst].role, ()))
            case p.Gen(dst, value, src):
                self.generate(i, regs)
                _go_on(regs, dst, src)
                regs[value] = _named(i.name or "gen")
            case p.Select(dst, value, src):
                self.inputs[i.name or "select"] += 1
                _go_on(regs, dst, src)
                regs[value] = _named(i.name or "select")
            case p.Capture(dst=dst) | p.Extern(dst=dst):
                name = i.name if isinstance(i, p.Extern) else "capture"
                regs[dst] = _named(name)
            case p.Join(dst, context):
                self.is_exact = False
                _go_on(regs, dst, context)
            case p.Eval(dst, expr, args):
                regs[dst] = _text(expr, [regs.get(reg) for reg in args])
            case p.Move(dsts, srcs):
                moved = [regs.get(src) for src in srcs]
                regs.update((d, text) for d, text in zip(dsts, moved, strict=True) if text)

    def generate(self, gen: p.Gen, regs: dict[int, _Text]) -> None:
        """The pieces of a record share the max_tokens of the whole."""
        name = gen.name if gen.piece is None else gen.name.split(".")[0]
        if gen.piece is None or (name, gen.piece.base) not in self.records:
            self.gens.append((name, _most(gen, regs)))
        if gen.piece is not None:
            self.records.add((name, gen.piece.base))

    def append(self, text: _Text | None) -> None:
        if text is None:
            self.inputs["text"] += 1
            return
        for part in text.parts:
            self.const_tokens += len(self.tokenizer.encode(part))
        self.inputs.update(text.names)

    def markup(self, pieces: tuple[str | int, ...]) -> None:
        for piece in pieces:
            is_text = isinstance(piece, str)
            self.const_tokens += len(self.tokenizer.encode(str(piece))) if is_text else 1


def _go_on(regs: dict[int, _Text], dst: p.Reg, src: p.Reg) -> None:
    """`dst` holds the context of `src`, with more in it."""
    regs[dst] = regs.get(src, _EMPTY)


def _most(gen: p.Gen, regs: dict[int, _Text]) -> int | None:
    """The gen's max_tokens, if the plan says."""
    for name, reg in gen.options:
        if name == "max_tokens":
            text = regs.get(reg)
            return None if text is None else text.number
    return Sampling().max_tokens


def _item(items: _Text | None) -> _Text:
    bases = items.bases if items else ()
    return _Text((), (f"{ITEM} of {bases[0]}" if bases else ITEM,), bases)


def _named(name: str) -> _Text:
    return _Text((), (name,), (name,))


def _text(expr: Expr, args: list[_Text | None]) -> _Text:
    """What an expression's value as text is made of."""
    match expr:
        case Const(value):
            is_number = isinstance(value, int) and not isinstance(value, bool)
            return _Text((to_text(value),), number=value if is_number else None)  # type: ignore[arg-type]
        case JsonConst():
            return _Text(())
        case Operand(index):
            return args[index] or _named("value")
        case Field(value, name):
            base = _text(value, args).bases[:1]
            return _named(".".join([*base, name]))
        case Format(parts):
            found = [_text(part, args) for part, _ in parts]
            return _Text(
                tuple(piece for text in found for piece in text.parts),
                tuple(name for text in found for name in text.names),
                tuple(name for text in found for name in text.bases),
            )
        case _:
            bases = tuple(dict.fromkeys(name for arg in args if arg for name in arg.bases))
            return _Text((), (f"f({', '.join(bases)})" if bases else "value",), bases)
