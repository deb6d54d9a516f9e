"""Where a text stands in a table."""

from __future__ import annotations

from sglc.codegen.automata.constraint import ByteDfa, TokenTable


def walk(table: TokenTable, written: bytes) -> int:
    """The state after `written`, a beginning of lead + value. Raises ValueError if it is none."""
    state = _end(table.dfa, written)
    if state < 0:
        raise ValueError(f"the constraint does not allow {written!r}")
    return state


def value_end(table: TokenTable, written: bytes) -> int:
    """How many bytes of `written` are lead + value; the rest begins the follow text. Where both
    readings are possible the value is the longer one."""
    if _end(table.dfa, written) >= 0:
        return len(written)
    follow = table.follow.encode()
    state, end = 0, -1
    for place, byte in enumerate(written):
        if table.dfa.is_final[state] and follow.startswith(written[place:]):
            end = place
        state = int(table.dfa.next[state, table.dfa.classes[byte]])
        if state < 0:
            break
    if end < 0:
        raise ValueError(f"the constraint does not allow {written!r}")
    return end


def _end(dfa: ByteDfa, text: bytes) -> int:
    state = 0
    for byte in text:
        state = int(dfa.next[state, dfa.classes[byte]])
        if state < 0:
            return -1
    return state
