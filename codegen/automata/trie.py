"""The beginnings of all tokens, level by level, in arrays: what shares a beginning is walked once,
and what cannot begin is not walked at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.spans import Spans, spans_of


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The beginnings of one length. `bytes` are their last bytes; `below` is, for each node of the
    level above, its nodes here (the level above the first is the root alone); `ids` is, for each
    node here, the tokens that end there."""

    bytes: NDArray[np.uint8]
    below: Spans
    ids: Spans


def trie_of(tokens: Sequence[bytes]) -> tuple[Level, ...]:
    """The levels for beginnings of 1, 2, ... bytes. Tokens without bytes are in none."""
    ids = np.array(sorted(filter(tokens.__getitem__, range(len(tokens))), key=tokens.__getitem__))
    lengths = np.array([len(tokens[id]) for id in ids], np.int64)
    flat = np.frombuffer(b"".join(tokens[id] for id in ids), np.uint8)
    firsts = np.cumsum(lengths) - lengths
    levels: list[Level] = []
    node, num_above = np.zeros(len(ids), np.int64), 1
    rest = np.arange(len(ids))  # places among the sorted ids
    while rest.size:
        length = len(levels) + 1
        last = flat[firsts[rest] + length - 1]
        above = node[rest]
        is_new = np.ones(len(rest), bool)
        is_new[1:] = (above[1:] != above[:-1]) | (last[1:] != last[:-1])
        node[rest] = np.cumsum(is_new) - 1
        ending = rest[lengths[rest] == length]
        num_nodes = int(is_new.sum())
        levels.append(
            Level(
                last[is_new],
                spans_of(above[is_new], np.arange(num_nodes), num_above),
                spans_of(node[ending], ids[ending], num_nodes),
            )
        )
        num_above = num_nodes
        rest = rest[lengths[rest] > length]
    return tuple(levels)
