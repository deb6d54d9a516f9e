"""Which tokens of a forced text stay as they are, whatever is written after it.

A tokenizer may join the end of a text with the beginning of what follows. Ids are *settled* when
the tokenizer begins with them for every text that may follow. This is tried, not proved from the
tokenizer's rules: with each character that may come next (for other than ASCII some of each kind),
and with the rest of each token that begins in the text and goes on in an allowed way; byte pair
encoding joins over a border only by such a token.
"""

from __future__ import annotations

from collections.abc import Iterator

from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.steps import Steps, steps_of
from sglc.codegen.automata.vocabulary import Vocabulary

_ASCII = [chr(point) for point in range(128)]
# a letter, a mark that joins, a digit, a space, punctuation, a symbol, in scripts that differ
_OTHERS = list("éßΩжשع\u0301अ\u093eไ中가あ٣½²\u00a0\u2003\u200b—“”、。€→😀\U0001d400")
_MAX_TRIES = 256
"""Tokens tried for one place; when so many do not join, a later one is taken to do so."""


def settled_ids(text: str, state: int, steps: Steps, vocabulary: Vocabulary) -> list[int]:
    """The leading ids of `text` that are settled when it is followed as `state` allows."""
    ids = _ids(text, vocabulary)
    data = text.encode()
    keep = len(ids)
    for character in [*_ASCII, *_OTHERS, *_allowed_beyond_ascii(state, steps)]:
        if steps.walk(state, character.encode()) >= 0:
            keep = min(keep, _num_common(ids, vocabulary.encode(text + character)))
    for size in range(1, min(len(data), vocabulary.longest - 1) + 1):
        before = data[:-size].decode(errors="ignore")
        least = _num_common(ids, vocabulary.encode(before))
        if least >= keep:
            continue
        for tries, rest in enumerate(_continuations(data[-size:], state, steps, vocabulary)):
            if tries == _MAX_TRIES:
                keep = least
            else:
                keep = min(keep, _num_common(ids, vocabulary.encode(text + rest)))
            if keep <= least:
                break
    return ids[:keep]


def lead_of(text: str, dfa: ByteDfa, vocabulary: Vocabulary, *, follow: str = "") -> str:
    """The end of the forced `text` that the gen after it should write itself: the whole last tokens
    that one token could write together with the beginning of the value; "" if there is none.

    A value whose beginning only shifts the borders of these tokens, so that no token holds them
    whole, is written after them as they are.
    """
    steps = steps_of(dfa, follow.encode())
    ids = _ids(text, vocabulary)
    suffix = lead = b""
    for place in reversed(range(len(ids))):
        suffix = vocabulary.tokens[ids[place]] + suffix
        # a text begins with a whole character
        is_cut = len(lead) > 0 and lead[0] & 0xC0 == 0x80
        if is_cut or _can_go_on(suffix, text, ids[:place], steps, vocabulary):
            lead = suffix
        if len(suffix) >= vocabulary.longest and not is_cut:
            break
    return lead.decode()


def _can_go_on(
    suffix: bytes, text: str, before: list[int], steps: Steps, vocabulary: Vocabulary
) -> bool:
    """A value makes one token of `suffix`, the end of `text` after the ids `before`, and more."""
    for tries, rest in enumerate(_continuations(suffix, 0, steps, vocabulary)):
        if tries == _MAX_TRIES:
            return True
        joined = vocabulary.encode(text + rest)
        if joined[: len(before)] == before and any(
            len(vocabulary.tokens[id]) > len(suffix) for id in joined[len(before) :][:1]
        ):
            return True
    return False


def _allowed_beyond_ascii(state: int, steps: Steps) -> Iterator[str]:
    """A character that may come for each first byte of several."""
    for byte in range(0xC2, 0xF5):
        after = steps.walk(state, bytes([byte]))
        if after >= 0:
            yield _whole_characters(bytes([byte]), after, steps)


def _ids(text: str, vocabulary: Vocabulary) -> list[int]:
    """The ids of `text`; none if the tokenizer rewrites what it reads."""
    ids = vocabulary.encode(text)
    is_same = b"".join(vocabulary.tokens[id] for id in ids) == text.encode()
    return ids if is_same else []


def _continuations(begun: bytes, state: int, steps: Steps, vocabulary: Vocabulary) -> Iterator[str]:
    """What may be written at `state` to complete a token that starts with `begun`; a token that
    ends within a character is continued to its end."""
    for token in vocabulary.beginning_with(begun):
        rest = token[len(begun) :]
        after = steps.walk(state, rest)
        if after >= 0:
            yield _whole_characters(rest, after, steps)


def _whole_characters(text: bytes, state: int, steps: Steps) -> str:
    while True:
        try:
            return text.decode()
        except UnicodeDecodeError:
            byte = next(
                byte for byte in range(0x80, 0xC0) if steps.next[state, steps.classes[byte]] >= 0
            )
            state = int(steps.next[state, steps.classes[byte]])
            text += bytes([byte])


def _num_common(first: list[int], second: list[int]) -> int:
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))
