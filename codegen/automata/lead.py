"""Which tokens may write the lead, the forced text that a gen starts with.

There a token is either the next of the lead's canonical tokens, or goes on into the value: so the
ids are canonical, and every value can still be written.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.vocabulary import Vocabulary


def lead_states(dfa: ByteDfa, num_lead: int) -> tuple[bytes, list[int]]:
    """The lead, which is the only way to begin, and the state before each byte of it."""
    lead, states, state = bytearray(), [], 0
    for _ in range(num_lead):
        class_ = int(np.argmax(dfa.next[state] >= 0))
        lead.append(int(np.argmax(dfa.classes == class_)))
        states.append(state)
        state = int(dfa.next[state, class_])
    return bytes(lead), states


def restrict_lead(
    place: NDArray[np.int64],
    columns: NDArray[np.int16],
    lead: bytes,
    states: list[int],
    vocabulary: Vocabulary,
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """`place` [V] and `columns` [N, S] of all tokens that the automaton allows, without those that
    end inside the lead and are not canonical there."""
    canonical = np.full(len(lead), -1)  # [L] the token that comes next
    for start in range(len(lead)):
        token = _first_token(lead[start:], vocabulary)
        if token is not None and columns[place[token], states[start]] >= 0:
            canonical[start] = token
    ids = np.unique(canonical[canonical >= 0])
    # tokens that are alike here: the same column, the same length as far as it matters
    rank = np.zeros(len(place), np.int64)
    rank[ids] = 1 + np.arange(len(ids))
    length = np.minimum(vocabulary.lengths, len(lead) + 1)
    kinds = (place * (len(lead) + 2) + length) * (len(ids) + 1) + rank
    _, first, kind = np.unique(kinds, return_index=True, return_inverse=True)
    restricted = columns[place[first]]
    for start, state in enumerate(states):
        if canonical[start] >= 0:
            goes_on = vocabulary.lengths[first] > len(lead) - start
            restricted[~goes_on & (first != canonical[start]), state] = -1
    return kind, restricted


def _first_token(text: bytes, vocabulary: Vocabulary) -> int | None:
    if text[0] & 0xC0 == 0x80:
        return None  # within a character
    token = vocabulary.encode(text.decode())[0]
    return token if text.startswith(vocabulary.tokens[token]) else None
