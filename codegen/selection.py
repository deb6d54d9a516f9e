"""One op without regions as one instruction: the table of instruction selection."""

from __future__ import annotations

from collections.abc import Mapping

from sglc.codegen import instruction as p
from sglc.codegen.constraints import Constrained
from sglc.ir import ops

Registers = Mapping[int, p.Reg]  # by value id


def instruction(
    op: ops.Op, read: Registers, write: Registers, constrained: Mapping[int, Constrained]
) -> p.Instruction:
    """`read` are the registers of its operands, `write` those of its results; `constrained` says
    what gens may write, by the id of their value. Calls and structured ops are none of these."""
    match op:
        case ops.Start():
            return p.Start(write[op.result.id])
        case ops.Append():
            return p.Append(write[op.result.id], read[op.context.id], read[op.text.id])
        case ops.Control():
            return p.Control(write[op.result.id], read[op.context.id], op.token, op.span)
        case ops.Open():
            return p.Open(write[op.result.id], read[op.context.id], op.role, op.span)
        case ops.Close():
            return p.Close(write[op.result.id], read[op.context.id])
        case ops.Gen():
            found = constrained.get(op.value.id, Constrained())
            return p.Gen(
                write[op.result.id],
                write[op.value.id],
                read[op.context.id],
                op.type,
                _named(op.options, read),
                _named(op.metas, write),
                _path(op.path, read),
                op.splits_reasoning,
                op.name,
                op.span,
                constraint=found.constraint,
                piece=None if op.piece is None else p.Piece(read[op.piece.base.id], found.reserve),
                is_shared=op.is_shared,
            )
        case ops.Select():
            return p.Select(
                write[op.result.id],
                write[op.value.id],
                read[op.context.id],
                read[op.choices.id],
                op.method,
                None if op.temperature is None else read[op.temperature.id],
                _named(op.metas, write),
                _path(op.path, read),
                op.name,
                op.span,
                is_shared=op.is_shared,
            )
        case ops.Capture():
            return p.Capture(write[op.result.id], read[op.before.id], read[op.after.id], op.span)
        case ops.Join():
            return p.Join(
                write[op.result.id],
                read[op.context.id],
                read[op.base.id],
                read[op.branches.id],
                op.span,
            )
        case ops.Let():
            args = tuple(read[value.id] for value in op.operands)
            return p.Eval(write[op.result.id], op.expr, args, op.span)
        case ops.Extern():
            args = tuple(read[value.id] for value in op.args)
            path = _path(op.path, read)
            return p.Extern(
                write[op.result.id], op.name, args, path, op.span, is_shared=op.is_shared
            )
        case ops.Call():
            raise AssertionError(f"a call of {op.function} was not inlined")
        case _:
            raise AssertionError(f"{type(op).__name__} has regions")


def _named(
    pairs: tuple[tuple[str, ops.Value], ...], registers: Registers
) -> tuple[tuple[str, p.Reg], ...]:
    return tuple((name, registers[value.id]) for name, value in pairs)


def _path(path: ops.Path, read: Registers) -> p.Path:
    return tuple(item if isinstance(item, int) else p.PathReg(read[item.id]) for item in path)
