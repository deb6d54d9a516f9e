"""The fewest tokens that a text can be written in."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sglc.codegen.automata.vocabulary import Vocabulary

# the tokens of a vocabulary, and the longest one's bytes
_sets: WeakKeyDictionary[Vocabulary, tuple[frozenset[bytes], int]] = WeakKeyDictionary()


def fewest_tokens(text: bytes, vocabulary: Vocabulary) -> int:
    """Any tokens that join to the text count, not only those that the tokenizer would choose.
    Raises ValueError for bytes that no token has."""
    if vocabulary not in _sets:
        _sets[vocabulary] = frozenset(vocabulary.tokens), max(map(len, vocabulary.tokens))
    tokens, longest = _sets[vocabulary]
    none = len(text) + 1
    fewest = [none] * len(text) + [0]  # from each place to the end
    for start in reversed(range(len(text))):
        for end in range(start + 1, min(start + longest, len(text)) + 1):
            if fewest[end] < fewest[start] and text[start:end] in tokens:
                fewest[start] = fewest[end] + 1
    if fewest[0] == none:
        raise ValueError(f"no tokens write {text!r}")
    return fewest[0]
