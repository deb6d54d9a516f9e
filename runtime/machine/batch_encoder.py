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
        self._heads: dict[str, list[int]] = {}  # ids of beginnings, the last used at the end

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        cuts = self._cuts([text for text in texts if len(text) >= LEAST])
        parts = [(text[: cuts.get(text, 0)], text[cuts.get(text, 0) :]) for text in texts]
        heads = dict.fromkeys(head for head, _ in parts if head)
        new = dict.fromkeys(part for pair in parts for part in pair if part not in self._heads)
        new.pop("", None)
        ids = dict(zip(new, self._tokenizer.encode_batch(list(new)), strict=True))
        ids |= self._heads | {"": []}
        for head in heads:
            self._heads.pop(head, None)
            self._heads[head] = ids[head]
        for head in list(self._heads)[:-_REMEMBERED]:
            del self._heads[head]
        return [ids[head] + ids[rest] for head, rest in parts]

    def _cuts(self, texts: Sequence[str]) -> dict[str, int]:
        """Where each text that begins as others do may be cut: its ids are those of both parts."""
        stable: dict[str, int] = {}  # beginning -> where its ids no longer depend on what follows
        cuts: dict[str, int] = {}
        shared = shared_beginnings([*texts, *self._heads])
        for text in texts:
            if text in shared:
                beginning = text[: shared[text]]
                if beginning not in stable:
                    stable[beginning] = self._tokenizer.stable_len(beginning)
                cuts[text] = stable[beginning]
        return cuts
