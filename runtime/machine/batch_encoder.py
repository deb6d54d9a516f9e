"""Tokenizes batches of texts; what several texts begin with, now or lately, is tokenized once.

Law: the ids of a text are those of encoding it whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from sglc.runtime.beginnings import LEAST, shared_beginnings
from sglc.runtime.model.spec import Tokenizer

_REMEMBERED = 64  # beginnings


class BatchEncoder:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # beginning -> its stable part, whose ids do not depend on what follows the beginning, and
        # those ids; the last used at the end
        self._known: dict[str, tuple[str, list[int]]] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        beginnings = shared_beginnings(
            [*(text for text in texts if len(text) >= LEAST), *self._known]
        )
        begun = [text[: beginnings.get(text, 0)] for text in texts]
        heads = {beginning: self._stable(beginning) for beginning in dict.fromkeys(begun)}
        rests = [text[len(heads[b]) :] for text, b in zip(texts, begun, strict=True)]
        unknown = [head for beginning, head in heads.items() if beginning not in self._known]
        todo = list(dict.fromkeys(part for part in [*unknown, *rests] if part))
        ids = dict(zip(todo, self._tokenizer.encode_batch(todo), strict=True)) | {"": []}
        for beginning, head in heads.items():
            is_known = beginning in self._known
            self._known[beginning] = self._known.pop(beginning) if is_known else (head, ids[head])
        encoded = [
            self._known[beginning][1] + ids[rest]
            for beginning, rest in zip(begun, rests, strict=True)
        ]
        for beginning in list(self._known)[:-_REMEMBERED]:
            del self._known[beginning]
        return encoded

    def _stable(self, beginning: str) -> str:
        known = self._known.get(beginning)
        return known[0] if known else beginning[: self._tokenizer.stable_len(beginning)]
