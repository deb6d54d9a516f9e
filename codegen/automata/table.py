"""From an automaton over bytes to a table over tokens.

State s of the table is state s of the automaton, so a place in a text has the same number in both;
one more state, `follow`, stands for a token that ended inside the text after the value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.columns import token_columns
from sglc.codegen.automata.constraint import ByteDfa, TokenTable
from sglc.codegen.automata.distance import UNREACHABLE, farthest_next, tokens_to_end
from sglc.codegen.automata.forced import ForcedText, find_forced
from sglc.codegen.automata.lead import lead_states, restrict_lead
from sglc.codegen.automata.limits import MAX_BYTE_STATES, MAX_TABLE_BYTES, TooLarge
from sglc.codegen.automata.source import ConstraintError
from sglc.codegen.automata.steps import steps_of
from sglc.codegen.automata.vocabulary import Vocabulary


def token_table(
    dfa: ByteDfa, vocabulary: Vocabulary, *, num_lead: int = 0, follow: str = ""
) -> TokenTable:
    """`dfa` accepts lead + value, the lead being its first `num_lead` bytes.

    Raises TooLarge beyond the bounds of `limits.py`, ConstraintError if the model's tokens can
    spell no text that the automaton accepts.
    """
    num_states = len(dfa.is_final)
    if num_states >= MAX_BYTE_STATES:
        raise TooLarge(f"more than {MAX_BYTE_STATES:,} states")
    steps = steps_of(dfa, follow.encode())
    place, columns = token_columns(steps, num_states, vocabulary)
    lead, states = lead_states(dfa, num_lead)
    if lead:
        place, columns = restrict_lead(place, columns, lead, states, vocabulary)
    token_class, next_ = _table(place, columns)
    is_final = np.append(dfa.is_final, True)
    distance = tokens_to_end(next_, is_final)
    if distance[0] == UNREACHABLE:
        raise ConstraintError("the tokens of this model cannot spell what the constraint asks for")
    if (distance == UNREACHABLE).any():
        next_[np.append(distance, 0)[next_] == UNREACHABLE] = -1
    text = ForcedText(dfa, steps, vocabulary)
    forced, completion = find_forced(text, next_, token_class, frozenset(states))
    return TokenTable(
        token_class=token_class,
        next=next_,
        is_final=is_final,
        distance=distance,
        reach=farthest_next(next_, distance),
        forced=forced,
        completion=completion,
        dfa=dfa,
        num_lead=num_lead,
        follow=follow,
    )


def _table(
    place: NDArray[np.int64], columns: NDArray[np.int16]
) -> tuple[NDArray[np.uint16], NDArray[np.int16]]:
    """Token classes, 0 for what is allowed nowhere, and `next` [S, C]; equal columns are one."""
    classes: dict[bytes, int] = {np.full(columns.shape[1], -1, np.int16).tobytes(): 0}
    members = [-1]
    class_of = np.zeros(len(columns), np.int64)
    for number, column in enumerate(columns):
        class_ = classes.setdefault(column.tobytes(), len(classes))
        if class_ == len(members):
            members.append(number)
        class_of[number] = class_
    num_states = columns.shape[1] + 1
    if len(members) > 2**16 or num_states * len(members) * 2 > MAX_TABLE_BYTES:
        raise TooLarge(f"a table of {num_states:,} states and {len(members):,} classes of tokens")
    next_ = np.full((num_states, len(members)), -1, np.int16)
    next_[:-1, 1:] = columns[members[1:]].T
    return class_of.astype(np.uint16)[place], next_
