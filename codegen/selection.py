"""One op without regions as one instruction: the table of instruction selection."""

from __future__ import annotations

from collections.abc import Mapping

from sglc.codegen import plan
from sglc.codegen.constraints import Constrained
from sglc.ir import ops

Registers = Mapping[int, plan.Reg]  # by value id


def instruction(
    op: ops.Op, read: Registers, write: Registers, constrained: Mapping[int, Constrained]
) -> plan.Instruction:
    """`read` are the registers of its operands, `write` those of its results; `constrained` says
    what gens may write, by the id of their value. Calls and structured ops are none of these."""
    match op:
        case ops.Start():
            return plan.Start(write[op.result.id])
        case ops.Append():
            return plan.Append(write[op.result.id], read[op.context.id], read[op.text.id])
        case ops.Control():
            return plan.Control(write[op.result.id], read[op.context.id], op.token, op.span)
        case ops.Open():
            return plan.Open(write[op.result.id], read[op.context.id], op.role, op.span)
        case ops.Close():
            return plan.Close(write[op.result.id], read[op.context.id])
        case ops.Gen():
            found = constrained.get(op.value.id, Constrained())
            return plan.Gen(
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
                piece=None
                if op.piece is None
                else plan.Piece(read[op.piece.base.id], found.reserve),
                is_shared=op.is_shared,
            )
        case ops.Select():
            return plan.Select(
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
            return plan.Capture(write[op.result.id], read[op.before.id], read[op.after.id], op.span)
        case ops.Join():
            return plan.Join(
                write[op.result.id],
                read[op.context.id],
                read[op.base.id],
                read[op.branches.id],
                op.span,
            )
        case ops.Let():
            args = tuple(read[value.id] for value in op.operands)
            return plan.Eval(write[op.result.id], op.expr, args, op.span)
        case ops.Extern():
            args = tuple(read[value.id] for value in op.args)
            path = _path(op.path, read)
            return plan.Extern(
                write[op.result.id], op.name, args, path, op.span, is_shared=op.is_shared
            )
        case ops.Call():
            raise AssertionError(f"a call of {op.function} was not inlined")
        case _:
            raise AssertionError(f"{type(op).__name__} has regions")


def _named(
    pairs: tuple[tuple[str, ops.Value], ...], registers: Registers
) -> tuple[tuple[str, plan.Reg], ...]:
    return tuple((name, registers[value.id]) for name, value in pairs)


def _path(path: ops.Path, read: Registers) -> plan.Path:
    return tuple(item if isinstance(item, int) else plan.PathReg(read[item.id]) for item in path)
