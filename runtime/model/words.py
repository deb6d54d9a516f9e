"""Tokenizes batches of texts word by word; words that were met before cost no tokenizing.

A word begins with a space that stands behind a settled cut (`stable.py`), and reaches to the next
such space; the first word of a text has none. A text's ids are those of its words in a row, so only
words that are new go to the `tokenizers` library, those of one text as one text: it tells from
which characters each token was made, and so where a word's ids end.
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
    """Remembers the ids of up to MOST_WORDS words, then begins anew: 9 MiB of words of a few
    letters, 40 MiB at the most. `spaces` matches a space that begins a word."""

    def __init__(self, encoder: tokenizers.Tokenizer, spaces: re.Pattern[str]) -> None:
        self._encoder = encoder
        self._spaces = spaces
        self._forget()

    def _forget(self) -> None:
        # Arrays of ids as bytes: small, and soon joined. Only of words that end at a settled cut if
        # a space follows. Other threads may read while these are filled, and go on with old ones.
        self._inner: dict[str, bytes] = {}  # by what stands behind the word's first space
        self._first: dict[str, bytes] = {"": b""}  # of words at the beginning of a text

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        found = [self._of_known_words(text) for text in texts]
        learnt = iter(self._learn([t for t, ids in zip(texts, found, strict=True) if ids is None]))
        return [array(_ID, next(learnt) if ids is None else ids).tolist() for ids in found]

    def _of_known_words(self, text: str) -> bytes | None:
        """The ids of a text whose words are all known and apart by single spaces; else None."""
        first, *others = text.split(" ")
        try:
            return self._first[first] + b"".join(map(self._inner.__getitem__, others))
        except KeyError:
            return None

    def _learn(self, texts: Sequence[str]) -> Iterator[bytes]:
        """The ids of each text."""
        # of each text the ids of its words, and those words that are new by their places
        drafts: list[tuple[list[bytes | None], dict[int, str]]] = []
        new: dict[str, bytes] = {}
        unknown: list[list[str]] = []  # of each text, none twice
        for text in texts:
            first, *others = self._spaces.split(text)
            found = [self._first.get(first), *map(self._inner.get, others)]
            missing = {
                place: " " + others[place - 1] if place else first
                for place, ids in enumerate(found)
                if ids is None
            }
            drafts.append((found, missing))
            fresh = [word for word in dict.fromkeys(missing.values()) if word not in new]
            new.update(dict.fromkeys(fresh, b""))
            if fresh:
                unknown.append(fresh)
        for word, its_ids in self._encoded(unknown):
            new[word] = its_ids
            self._keep(word, its_ids)
        return (
            b"".join([new[missing[at]] if ids is None else ids for at, ids in enumerate(found)])
            for found, missing in drafts
        )

    def _encoded(self, texts: list[list[str]]) -> Iterator[tuple[str, bytes]]:
        """Each word and its ids; a text is given as its words."""
        alone = [words[0] for words in texts if len(words) == 1]
        # it is faster where it need not tell what is from where
        encodings = self._encoder.encode_batch_fast(alone, add_special_tokens=False)
        for word, encoding in zip(alone, encodings, strict=True):
            yield word, array(_ID, encoding.ids).tobytes()
        together = [words for words in texts if len(words) > 1]
        encodings = self._encoder.encode_batch(
            ["".join(words) for words in together], add_special_tokens=False
        )
        for words, encoding in zip(together, encodings, strict=True):
            ids = encoding.ids
            starts = [start for start, _ in encoding.offsets]  # character at which a token begins
            end = at = 0
            for word in words:
                end += len(word)
                begin, at = at, bisect_left(starts, end, at)
                yield word, array(_ID, ids[begin:at]).tobytes()

    def _keep(self, word: str, ids: bytes) -> None:
        if len(word) > LONGEST or not self._spaces.match(word + " ", len(word)):
            return
        if len(self._inner) + len(self._first) >= MOST_WORDS:
            self._forget()
        if word.startswith(" "):
            self._inner[word[1:]] = ids
        else:
            self._first[word] = ids
