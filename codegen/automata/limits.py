"""How large an automaton and a table may be."""

from __future__ import annotations

MAX_STATES = 20_000
"""States of an automaton over characters."""

MAX_STEPS = 2_000_000
"""States of a nondeterministic automaton looked at while it is made deterministic."""

MAX_BYTE_STATES = 32_000
"""States of an automaton over bytes, and of a table, whose states are int16."""

MAX_TABLE_BYTES = 16 * 2**20
"""Bytes of `TokenTable.next`."""


class TooLarge(Exception):
    """A table for the constraint would exceed a bound; a grammar has none."""
