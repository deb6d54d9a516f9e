"""Tokenizes batches of texts word by word; words that were met before cost no tokenizing.

A word reaches from one settled cut (`stable.py`) to the next: all between two spaces, with the
first of them, and any white space that stands together. A text's ids are those of its words in a
row, so only words that are new go to the `tokenizers` library, those of one text as one text: it
tells from which characters each token was made, and so where a word's ids end.
Law: the ids are those that the library gives for the whole text, whatever was met before.
Several threads may encode at once.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import tokenizers

MOST_WORDS = 1 << 16
LONGEST = 24  # characters; what is longer is hardly met again

_ID = "i"  # how an array holds ids


class WordMemory:
    """Remembers the ids of up to MOST_WORDS words, then begins anew: 10 MB of words of a few
    letters, and 25 MB at the most. `cut` matches, without width, before the space that begins a
    word."""

    def __init__(self, encoder: tokenizers.Tokenizer, cut: re.Pattern[str]) -> None:
        self._encoder = encoder
        self._cut = cut
        self._forget()

    def _forget(self) -> None:
        # Arrays of ids as bytes: small, and soon joined. Only words that a cut follows, whatever
        # comes next. Others may read while these are filled, and go on with old ones.
        self._inner: dict[str, bytes] = {}  # by what stands behind the word's first space
        self._first: dict[str, bytes] = {"": b""}  # at the beginning of a text, without a space

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        found = [self._of_known_words(text) for text in texts]
        learnt = iter(self._learn([t for t, ids in zip(texts, found, strict=True) if ids is None]))
        return [array(_ID, next(learnt) if ids is None else ids).tolist() for ids in found]

    def _of_known_words(self, text: str) -> bytes | None:
        """The ids of a text whose words are all known and apart by single spaces; else None."""
        first, *words = text.split(" ")
        try:
            return self._first[first] + b"".join(map(self._inner.__getitem__, words))
        except KeyError:
            return None

    def _learn(self, texts: Sequence[str]) -> Iterator[bytes]:
        """The ids of each text."""
        split = [self._cut.split(text) for text in texts]
        ids: dict[str, bytes] = {}
        unknown: list[list[str]] = []  # words of each text in order
        for words in split:
            fresh: list[str] = []
            for word in words:
                if word not in ids:
                    known = self._find(word)
                    ids[word] = known or b""
                    if known is None:
                        fresh.append(word)
            unknown.append(fresh)
        for word, its_ids in self._encoded([fresh for fresh in unknown if fresh]):
            ids[word] = its_ids
            self._keep(word, its_ids)
        return (b"".join([ids[word] for word in words]) for words in split)

    def _encoded(self, texts: list[list[str]]) -> Iterator[tuple[str, bytes]]:
        """Each word and its ids; a text is given as its words."""
        encodings = self._encoder.encode_batch(
            ["".join(words) for words in texts], add_special_tokens=False
        )
        for words, encoding in zip(texts, encodings, strict=True):
            ids = encoding.ids
            starts = [start for start, _ in encoding.offsets]  # character at which a token begins
            end = at = 0
            for word in words:
                end += len(word)
                begin, at = at, bisect_left(starts, end, at)
                yield word, array(_ID, ids[begin:at]).tobytes()

    def _find(self, word: str) -> bytes | None:
        return self._inner.get(word[1:]) if word.startswith(" ") else self._first.get(word)

    def _keep(self, word: str, ids: bytes) -> None:
        if len(word) > LONGEST or not self._cut.match(word + " ", len(word)):
            return
        if len(self._inner) + len(self._first) >= MOST_WORDS:
            self._forget()
        if word.startswith(" "):
            self._inner[word[1:]] = ids
        else:
            self._first[word] = ids
