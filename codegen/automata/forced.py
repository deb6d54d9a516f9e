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
        self._only = _only_bytes(dfa)

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
        if not run.startswith(text.encode()):
            return ()  # the first one is
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
    follow = len(next_) - 1
    forced: list[tuple[int, ...]] = [()] * len(next_)
    completion: list[str | None] = [None] * len(next_)
    completion[follow] = ""
    seen, todo = {0, follow}, [0]
    while todo:
        state = todo.pop()
        if state not in lead_states:
            completion[state] = text.completion(state)
            if completion[state] is not None:
                continue
            forced[state] = text.ids(state)
        targets = set(next_[state].tolist()) - {-1}
        if forced[state]:
            after = state
            for id in forced[state]:
                after = int(next_[after, token_class[id]])
            targets = {after}
        todo.extend(targets - seen)
        seen |= targets
    return tuple(forced), tuple(completion)


def _only_bytes(dfa: ByteDfa) -> list[int]:
    """For each state the one byte that must come, _CHOICE, or _OVER where the value is whole and
    nothing may come."""
    sizes = np.bincount(dfa.classes, minlength=dfa.next.shape[1])
    num_allowed = (dfa.next >= 0) @ sizes
    _, byte_of = np.unique(dfa.classes, return_index=True)
    only = byte_of[np.argmax(dfa.next >= 0, axis=1)]
    only[(num_allowed > 1) | dfa.is_final] = _CHOICE
    only[num_allowed == 0] = _OVER
    return [int(byte) for byte in only]


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
