"""Random gens and selects for the blocks of `testing.py`: free, typed, cut into pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.ir import ops
from sglc.ir import types as t
from sglc.ir.host import expr as e
from sglc.ir.host.literal import literal
from sglc.ir.ops import Value
from sglc.ir.records import Hole, cut

if TYPE_CHECKING:
    from sglc.ir.testing import Block

STRINGS = t.ListType(t.STR)
_ITEM = t.RecordType(
    "Item", (("kind", t.LiteralType(("x", 'y"'))), ("score", t.IntType(0, 9)), ("one", t.BOOL))
)
_BOX = t.RecordType(
    "Box",
    (
        ("item", _ITEM),
        ("note", t.OptionalType(t.StrType(max_length=3))),
        ("text", t.StrType(min_length=1)),
        ("marks", t.ListType(t.FloatType(0, 1), None, 2)),
    ),
)
_TYPES: tuple[t.Type, ...] = (
    t.STR,
    t.STR,
    t.INT,
    t.BOOL,
    t.LiteralType(("yes", 3, 0.5)),
    t.ListType(_ITEM, 1, 2),
    t.OptionalType(_BOX),
    t.JSON,
)


def add_gen(block: Block) -> None:
    """A gen; one in four is a record's that is cut."""
    options = _options(block)
    if block.draw.random() < 0.25:
        _add_cut_record(block, block.draw.choice((_ITEM, _BOX)), options)
        return
    type = block.draw.choice(_TYPES)
    if type == t.STR and block.draw.random() < 0.2:
        options += (("choices", _choices(block)),)
    metas = (("finish_reason", block.known(t.STR)),) if block.draw.random() < 0.2 else ()
    value = block.ids.value(type, "answer")
    block.step(
        lambda result: ops.Gen(
            result, value, metas, block.context, type, options, block.path(), name="answer"
        )
    )
    block.values.append(value)


def _options(block: Block) -> tuple[tuple[str, Value], ...]:
    options = []
    if block.draw.random() < 0.6:
        options.append(("temperature", block.some(t.FLOAT)))
    if block.draw.random() < 0.3:
        options.append(("max_tokens", block.some(t.INT)))
    return tuple(options)


def _choices(block: Block) -> Value:
    made = e.Binary("+", e.Operand(0), literal(["yes", "no"]))
    return block.let(STRINGS, made, block.some(STRINGS))


def _add_cut_record(
    block: Block, record: t.RecordType, options: tuple[tuple[str, Value], ...]
) -> None:
    """The gens of a record as lowering makes them; one of its values is known afterwards."""
    parts, path = cut(record), block.path()
    after = tuple(part if isinstance(part, str) else part.type for part in parts)
    base: Value | None = None
    for place, part in enumerate(parts):
        if isinstance(part, str):
            _append(block, part)
            continue
        base = base or block.context
        before = parts[place - 1]
        assert isinstance(before, str)
        piece = ops.Piece(base, before, after[place + 1 :])
        _add_piece(block, part, options, (*path, place // 2), piece)


def _append(block: Block, text: str) -> None:
    value = block.let(t.STR, e.Const(text))
    block.step(lambda result: ops.Append(result, block.context, value))


def _add_piece(
    block: Block,
    hole: Hole,
    options: tuple[tuple[str, Value], ...],
    path: ops.Path,
    piece: ops.Piece,
) -> None:
    name = f"box.{'.'.join(hole.path)}"
    value = block.known(hole.type, name)
    block.step(
        lambda result: ops.Gen(
            result, value, (), block.context, hole.type, options, path, name=name, piece=piece
        )
    )


def add_select(block: Block) -> None:
    """Append a random select to the block."""
    choices = _choices(block)
    temperature = block.some(t.FLOAT) if block.draw.random() < 0.5 else None
    metas = (("index", block.known(t.INT)),) if block.draw.random() < 0.3 else ()
    value = block.ids.value(t.STR)
    method = "token_length_normalized"
    block.step(
        lambda result: ops.Select(
            result, value, metas, block.context, choices, method, temperature, block.path()
        )
    )
    block.values.append(value)
