"""Where a text stands in a grammar's lead + value, or beyond it in the text that follows.

Law: as in a token table, bytes belong to the value where they may; only within the token that
leaves the value is it looked for the place where the value ended, and the last such place is it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sglc.codegen.automata.closing import Closing, State


@dataclass(frozen=True, slots=True)
class Beyond:
    """The value is whole and behind, and so are `num_bytes` of the follow text."""

    num_bytes: int


class Follower:
    """A grammar's closing tracker that remembers its steps: text within a str leads from one state
    back to it."""

    MAX_STEPS = 100_000

    def __init__(self, closing: Closing, follow: bytes = b"") -> None:
        self.closing = closing
        self._follow = follow
        self._steps: dict[tuple[State, int], State | None] = {}
        self._forced: dict[State, tuple[bytes, State]] = {}

    def after(self, state: State, data: bytes) -> State | Beyond | None:
        """Where `data`, a token or several within the value, leads from `state`; None where it
        cannot come."""
        beyond: Beyond | None = None
        for place, byte in enumerate(data):
            if state.is_whole and self._follow.startswith(data[place:]):
                beyond = Beyond(len(data) - place)
            after = self._step(state, byte)
            if after is None:
                return beyond
            state = after
        return state

    def forced(self, state: State) -> tuple[bytes, State]:
        """The text about which `state` leaves no choice, up to the value's end, and the state after
        it."""
        found = self._forced.get(state)
        if found is None:
            text, after = bytearray(), state
            while (byte := self.closing.only(after)) is not None:
                text.append(byte)
                after = self._certain(after, byte)
            if len(self._forced) >= self.MAX_STEPS:
                self._forced.clear()
            found = self._forced[state] = bytes(text), after
        return found

    def _certain(self, state: State, byte: int) -> State:
        after = self._step(state, byte)
        assert after is not None, "what must come may come"
        return after

    def _step(self, state: State, byte: int) -> State | None:
        step = (state, byte)
        if step in self._steps:
            return self._steps[step]
        if len(self._steps) >= self.MAX_STEPS:
            self._steps.clear()
        after = self._steps[step] = self.closing.advance(state, bytes([byte]))
        return after
