"""What a constraint leaves no choice about: text that completes a value, and text within it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.merging import settled_ids
from sglc.codegen.automata.steps import Steps
from sglc.codegen.automata.vocabulary import Vocabulary

_CHOICE, _OVER = -1, -2


class ForcedText:
    """Of each state of a value: the bytes that must come, up to a choice or the value's end."""

    def __init__(self, dfa: ByteDfa, steps: Steps, vocabulary: Vocabulary) -> None:
        self._dfa, self._steps, self._vocabulary = dfa, steps, vocabulary
        only = _only_bytes(dfa)
        self._only = only.tolist()
        self.is_forced = np.append(only != _CHOICE, False)
        """[S] the state leaves no choice."""

    def completion(self, state: int) -> str | None:
        """As in TokenTable."""
        run, end = self._run(state)
        if self._only[end] != _OVER or not _is_text(run):
            return None
        return run.decode()

    def ids(self, state: int) -> tuple[int, ...]:
        """As `forced` in TokenTable."""
        run, _ = self._run(state)
        text = run.decode(errors="ignore")  # the last character may be half forced
        if len(text) < 2 or not run.startswith(text.encode()):
            return ()  # too short, or it begins within a character
        end = self._steps.walk(state, text.encode())
        ids = settled_ids(text, end, self._steps, self._vocabulary)
        while ids and not _is_text(b"".join(self._vocabulary.tokens[id] for id in ids)):
            ids.pop()
        return tuple(ids) if len(ids) > 1 else ()

    def _run(self, state: int) -> tuple[bytes, int]:
        """The forced bytes, and the state after them."""
        run = bytearray()
        while self._only[state] >= 0:
            run.append(self._only[state])
            state = int(self._dfa.next[state, self._dfa.classes[run[-1]]])
        return bytes(run), state


def find_forced(
    text: ForcedText,
    next_: NDArray[np.int16],
    token_class: NDArray[np.uint16],
    lead_states: frozenset[int],
) -> tuple[tuple[tuple[int, ...], ...], tuple[str | None, ...]]:
    """`forced` and `completion` of a TokenTable, for the states that a gen from the start may stand
    in. The others lie within forced text; a long one has many, and a gen that is put there
    nevertheless samples what it can do no otherwise."""
    forced: list[tuple[int, ...]] = [()] * len(next_)
    completion: list[str | None] = [None] * len(next_)
    completion[-1] = ""
    is_seen = np.zeros(len(next_), bool)
    front = np.array([0])
    while front.size:
        is_seen[front] = True
        leads_on = np.ones(len(front), bool)
        jumps = []
        for place in np.flatnonzero(text.is_forced[front]):
            state = int(front[place])
            if state in lead_states:
                continue
            completion[state] = text.completion(state)
            forced[state] = text.ids(state) if completion[state] is None else ()
            leads_on[place] = completion[state] is None and not forced[state]
            if forced[state]:
                jumps.append(_after(state, forced[state], next_, token_class))
        is_next = np.zeros(len(next_) + 1, bool)  # the last for -1
        is_next[next_[front[leads_on]]] = True
        is_next[jumps] = True
        front = np.flatnonzero(is_next[:-1] & ~is_seen)
    return tuple(forced), tuple(completion)


def _after(
    state: int, ids: tuple[int, ...], next_: NDArray[np.int16], token_class: NDArray[np.uint16]
) -> int:
    for id in ids:
        state = int(next_[state, token_class[id]])
    return state


def _only_bytes(dfa: ByteDfa) -> NDArray[np.int64]:
    """For each state the one byte that must come, _CHOICE, or _OVER where the value is whole and
    nothing may come."""
    sizes = np.bincount(dfa.classes, minlength=dfa.next.shape[1])
    num_allowed = (dfa.next >= 0) @ sizes
    _, byte_of = np.unique(dfa.classes, return_index=True)
    only: NDArray[np.int64] = byte_of[np.argmax(dfa.next >= 0, axis=1)]
    only[(num_allowed > 1) | dfa.is_final] = _CHOICE
    only[num_allowed == 0] = _OVER
    return only


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
