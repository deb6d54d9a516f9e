"""A model's thinking and its answer, told apart (`reasoning name:` around a gen).

The marks around the thinking (`<think>`, `</think>`) are control tokens of some models and plain
text of others. Everything up to the closing mark is thinking. Without one it is all answer, unless
an opening mark stands before or at the start of the text: then the budget ended while the model
thought, and the answer is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sglc.runtime.engine.request import GenResult
from sglc.runtime.machine.stretch import Piece
from sglc.runtime.model.spec import Tokenizer


@dataclass(frozen=True, slots=True)
class Split:
    thinking: str
    answer: str


def split_reasoning(
    result: GenResult, tokenizer: Tokenizer, marks: tuple[str, str], before: Sequence[Piece]
) -> Split:
    """`before` is the stretch that the gen goes on from."""
    opening, closing = marks
    text = _with_marks(result, tokenizer, marks)
    thinking, closed, answer = text.partition(closing)
    if closed:
        return Split(thinking.lstrip().removeprefix(opening).strip(), answer.lstrip("\n"))
    if text.lstrip().startswith(opening):
        return Split(text.lstrip().removeprefix(opening).strip(), "")
    if ends_with(before, opening, tokenizer.control_id(opening)):
        return Split(text.strip(), "")
    return Split("", text)


def _with_marks(result: GenResult, tokenizer: Tokenizer, marks: tuple[str, str]) -> str:
    """The text with those marks spelt out that are control tokens, which decode to nothing."""
    spelling = {tokenizer.control_id(mark): mark for mark in marks}
    spelling.pop(None, None)
    if not any(token_id in spelling for token_id in result.token_ids):
        return result.text
    parts: list[str] = []
    start = 0
    for place, token_id in enumerate(result.token_ids):
        if token_id in spelling:
            parts += [tokenizer.decode(result.token_ids[start:place]), spelling[token_id]]
            start = place + 1
    return "".join([*parts, tokenizer.decode(result.token_ids[start:]), result.rest])


def ends_with(pieces: Sequence[Piece], mark: str, mark_id: int | None) -> bool:
    """Whether a mark is the last thing in a stretch, white space aside."""
    for piece in reversed(pieces):
        if isinstance(piece, int):
            return piece == mark_id
        if piece.strip():
            return piece.rstrip().endswith(mark)
    return False
