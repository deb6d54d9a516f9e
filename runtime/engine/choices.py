"""The trie of a score request's choices, and the log-probabilities read so far.

Entry 0 stands for the prefix's last token; every other entry is one token after its parent. A token
is scored by the logits of its parent, so an entry must be run only if it has children: the last
token of a choice that no other goes on from is never run.
Knows nothing of nodes or KV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


class Choices:
    def __init__(self, choices: Sequence[Sequence[int]]) -> None:
        self.tokens = [-1]
        self.children: list[list[int]] = [[]]
        self.logprobs = [math.nan]
        self.entries: list[list[int]] = []  # of each choice, its tokens' entries in order
        places: dict[tuple[int, int], int] = {}
        for choice in choices:
            entry, entries = 0, []
            for token in choice:
                child = places.get((entry, token))
                if child is None:
                    child = places[entry, token] = len(self.tokens)
                    self.tokens.append(token)
                    self.children.append([])
                    self.children[entry].append(child)
                    self.logprobs.append(math.nan)
                entry = child
                entries.append(entry)
            self.entries.append(entries)
        self._unread = {e for e, children in enumerate(self.children) if children}
        self._unasked = set(self._unread)

    @property
    def is_complete(self) -> bool:
        return not self._unread

    @property
    def is_asked(self) -> bool:
        """All that is to be read was read, or is on its way."""
        return not self._unasked

    def needs(self, entry: int) -> bool:
        """The logits after `entry` are neither read nor on their way."""
        return entry in self._unasked

    def ask(self, entry: int) -> None:
        """The logits after `entry` will be read."""
        self._unasked.discard(entry)

    def read(self, entry: int, logprobs: Sequence[float]) -> None:
        """Log-probabilities of the children of `entry`, in their order."""
        self._unread.discard(entry)
        self._unasked.discard(entry)
        for child, logprob in zip(self.children[entry], logprobs, strict=True):
            self.logprobs[child] = logprob

    def result(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(self.logprobs[e] for e in entries) for entries in self.entries)
