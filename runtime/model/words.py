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
from itertools import islice, repeat

import tokenizers

MOST_WORDS = 1 << 16
LONGEST = 24  # characters; what is longer is hardly met again

LONG = 4096  # characters: a text from which it is dear to look at its words twice
MOST_ASKED_ONCE = 1 << 22  # characters of such texts that are kept

_ID = "i"  # how an array holds ids: four bytes each
_UNKNOWN = b"?"  # stands for ids that are not known, being none


class WordMemory:
    """Remembers the ids of up to MOST_WORDS words, then begins anew: 9 MiB of words of a few
    letters, 40 MiB at the most. `spaces` matches a space that begins a word.

    Long texts are asked for twice: whether they have room, and to be run. Their ids are kept until
    then, of MOST_ASKED_ONCE characters."""

    def __init__(self, encoder: tokenizers.Tokenizer, spaces: re.Pattern[str]) -> None:
        self._encoder = encoder
        self._spaces = spaces
        self._asked_once: dict[str, bytes] = {}
        self._forget()

    def _forget(self) -> None:
        # Arrays of ids as bytes: small, and soon joined. Only of words that end at a settled cut if
        # a space follows. Other threads may read while these are filled, and go on with old ones.
        self._inner: dict[str, bytes] = {}  # by what stands behind the word's first space
        self._first: dict[str, bytes] = {"": b""}  # of words at the beginning of a text

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        found = [self._asked_once.pop(text, None) if len(text) >= LONG else None for text in texts]
        todo = [text for text, ids in zip(texts, found, strict=True) if ids is None]
        encoded = self._encode(todo)
        self._keep_long(
            {text: i for text, i in zip(todo, encoded, strict=True) if len(text) >= LONG}
        )
        rest = iter(encoded)
        return [array(_ID, next(rest) if ids is None else ids).tolist() for ids in found]

    def _keep_long(self, texts: dict[str, bytes]) -> None:
        size = sum(map(len, texts))
        if size + sum(map(len, tuple(self._asked_once))) > MOST_ASKED_ONCE:
            self._asked_once.clear()
        if size <= MOST_ASKED_ONCE:
            self._asked_once.update(texts)

    def _encode(self, texts: Sequence[str]) -> list[bytes]:
        drafts = [self._draft(text) for text in texts]
        new: dict[str, bytes] = {}
        unknown: list[list[str]] = []  # of each text that has some, none twice
        for _, missing in drafts:
            fresh = [word for word in dict.fromkeys(missing.values()) if word not in new]
            if fresh:
                new.update(dict.fromkeys(fresh, _UNKNOWN))
                unknown.append(fresh)
        for word, ids in self._encoded(unknown):
            new[word] = ids
            self._keep(word, ids)
        for found, missing in drafts:
            for place, word in missing.items():
                found[place] = new[word]
        return [b"".join(found) for found, _ in drafts]

    def _draft(self, text: str) -> tuple[list[bytes], dict[int, str]]:
        """The ids of its words, and those words that are not known by their places."""
        words = text.split(" ")
        found, missing = self._look(words)
        if missing and not all(map(self._is_ended, missing.values())):
            # white space stands together: the space in it, or behind it, begins no word
            found, missing = self._look(self._spaces.split(text))
        return found, missing

    def _look(self, words: list[str]) -> tuple[list[bytes], dict[int, str]]:
        """The same. Words are given without the space that begins them."""
        others = islice(words, 1, None)
        found = [self._first.get(words[0], _UNKNOWN)]
        found += map(self._inner.get, others, repeat(_UNKNOWN))
        missing: dict[int, str] = {}
        place = -1
        for _ in range(found.count(_UNKNOWN)):
            place = found.index(_UNKNOWN, place + 1)
            missing[place] = " " + words[place] if place else words[0]
        return found, missing

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

    def _is_ended(self, word: str) -> bool:
        """Whether a word is over if a space follows."""
        return self._spaces.match(word + " ", len(word)) is not None

    def _keep(self, word: str, ids: bytes) -> None:
        if len(word) > LONGEST or not self._is_ended(word):
            return
        if len(self._inner) + len(self._first) >= MOST_WORDS:
            self._forget()
        if word.startswith(" "):
            self._inner[word[1:]] = ids
        else:
            self._first[word] = ids
