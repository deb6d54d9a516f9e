"""Markup text as pieces: plain text, and the ids of the control tokens that it spells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sglc.runtime.model.vocabulary import ControlToken

Pieces = tuple[str | int, ...]


class Splitter:
    """Finds control tokens in markup, leftmost and longest first, as reference tokenizers do."""

    def __init__(self, controls: Sequence[ControlToken]) -> None:
        self._tokens = {token.name: token for token in controls if token.name}
        names = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, names))})") if names else None

    def split(self, text: str) -> Pieces:
        if self._pattern is None:
            return (text,) if text else ()
        parts = self._pattern.split(text)  # text, name, text, name, ... text
        tokens = [self._tokens[name] for name in parts[1::2]]
        pieces: list[str | int] = []
        for place, plain in enumerate(parts[0::2]):
            if place > 0:
                pieces.append(tokens[place - 1].id)
                plain = plain.lstrip() if tokens[place - 1].strips_right else plain
            if place < len(tokens) and tokens[place].strips_left:
                plain = plain.rstrip()
            if plain:
                pieces.append(plain)
        return tuple(pieces)


def common_prefix(many: Sequence[Pieces]) -> Pieces:
    """The longest pieces that all begin with; texts are compared character by character."""
    if not many:
        return ()
    common: list[str | int] = []
    for together in zip(*many, strict=False):
        first = together[0]
        if all(piece == first for piece in together):
            common.append(first)
            continue
        texts = [piece for piece in together if isinstance(piece, str)]
        shared = _common_text(texts) if len(texts) == len(together) else ""
        if shared:
            common.append(shared)
        break
    return tuple(common)


def _common_text(texts: Sequence[str]) -> str:
    # what the first and the last in order share, all between them share too
    first, last = min(texts), max(texts)
    length = 0
    while length < len(first) and first[length] == last[length]:
        length += 1
    return first[:length]


def without_prefix(pieces: Pieces, prefix: Pieces) -> Pieces:
    """What follows `prefix`, which `pieces` must begin with."""
    for place, piece in enumerate(prefix):
        if pieces[place] == piece:
            continue
        # the last piece of the prefix may be the beginning of a text
        text = pieces[place]
        if not isinstance(text, str) or not isinstance(piece, str) or place != len(prefix) - 1:
            raise ValueError(f"{pieces} does not begin with {prefix}")
        return (text.removeprefix(piece), *pieces[place + 1 :])
    return pieces[len(prefix) :]
