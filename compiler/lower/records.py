"""`gen x: Record` as the text that every value of the record has, and a gen for each part between.

    gen v: Verdict    ->    append {"decision":"   gen v.decision   append ","score":   gen v.score
                            append }               let v = {"decision": ..., "score": ...}

Passes can then see the text: it joins the prompt before and what follows, and costs no sampling.
The pieces have the options of the whole. A record stays one gen where that would show: several
samples (`n`), options that count the tokens of one gen (`min_tokens`, penalties), logprobs or
tokens that are read, a model that thinks first. A record inside a list or an optional is part of
that piece. `logit_bias` is no reason: it reaches sampled tokens only, which are the same.
Law: what is decided here depends on the program alone, defaults of callers included, never on
passes; each piece has the gen's path and its own number behind it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sglc.compiler.lower.frame import Frame
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.records import cut
from sglc.ir.types import STR, LiteralType, RecordType, Type

_OF_WHOLE_GENS = frozenset(
    {"min_tokens", "frequency_penalty", "presence_penalty", "repetition_penalty", "logprobs", "n"}
)
_METAS_OF_PIECES = {"finish_reason"}


def keeps_whole(frame: Frame, options: Collection[str]) -> bool:
    """Whether options of these names, or defaults of the function's callers, keep records whole."""
    return frame.scope.keeps_whole or not _OF_WHOLE_GENS.isdisjoint(options)


def can_cut(frame: Frame, gen: ops.Gen) -> bool:
    """Whether a gen of a record may be lowered in pieces; the module says what keeps it whole."""
    return (
        isinstance(gen.type, RecordType)
        and len(cut(gen.type)) > 1
        and not keeps_whole(frame, dict(gen.options))
        and not gen.splits_reasoning
        and _METAS_OF_PIECES.issuperset(dict(gen.metas))
    )


def lower_in_pieces(frame: Frame, whole: ops.Gen) -> None:
    """Emit the texts, the gens and the value of a gen that can be cut. The metas of the last piece
    are those of the whole."""
    assert isinstance(whole.type, RecordType)
    parts = cut(whole.type)
    after = tuple(part if isinstance(part, str) else part.type for part in parts)
    context, base = whole.context, whole.context
    values: dict[tuple[str, ...], ops.Value] = {}
    for place, part in enumerate(parts):
        is_last = place == len(parts) - 1
        result = whole.result if is_last else frame.new_context(frame.role)
        if isinstance(part, str):
            text = frame.let(host.Const(part), (), STR, whole.span)
            frame.emit(ops.Append(result, context, text, whole.span))
            base = base if values else result
        else:
            name = ".".join((whole.name, *part.path)) if whole.name else ""
            value = values[part.path] = frame.value(part.type, name)
            before = after[place - 1]
            assert isinstance(before, str), "texts and holes take turns"
            frame.emit(
                replace(
                    whole,
                    result=result,
                    value=value,
                    metas=whole.metas if place == len(parts) - 2 else (),
                    context=context,
                    type=part.type,
                    path=(*whole.path, place // 2),
                    name=name,
                    piece=ops.Piece(base, before, after[place + 1 :]),
                )
            )
        context = result
    numbers = {path: number for number, path in enumerate(values)}
    built = _built(whole.type, (), numbers)
    frame.emit(ops.Let(whole.value, built, tuple(values.values()), whole.span))


def _built(type: Type, path: tuple[str, ...], operands: dict[tuple[str, ...], int]) -> host.Expr:
    """The value of a record or of a part of it, over the values of the pieces."""
    if path in operands:
        return host.Operand(operands[path])
    if isinstance(type, LiteralType):
        return host.Const(type.values[0])
    assert isinstance(type, RecordType), "what is no piece is a record or one value alone"
    fields = ((name, _built(field, (*path, name), operands)) for name, field in type.fields)
    return host.DictOf(tuple((host.Const(name), value) for name, value in fields))
