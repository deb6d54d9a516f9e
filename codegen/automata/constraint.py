"""A compiled constraint: a table over tokens, or a grammar for xgrammar.

Both accept the texts lead + value (+ the beginning of follow). Engine and machine need to know no
more than what stands here. Immutable; shared by all gens that have the same source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sglc.codegen.automata.expr import Rules

if TYPE_CHECKING:
    # a plan is described without numpy: what only compiles or reads headers starts sooner
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ByteDfa:
    """A minimal deterministic automaton over the UTF-8 bytes of lead + value; state 0 starts.

    `classes` [256] uint8 sorts bytes into classes; `next` [D, K] int32 is the state after a byte
    of a class, -1 where none is allowed; `is_final` [D] bool: the text so far is whole. From every
    state a final one can be reached.
    """

    classes: NDArray[np.uint8]
    next: NDArray[np.int32]
    is_final: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """States S over tokens; state 0 starts, the last state is `follow` (reached by a token that
    ends inside the follow text; without a follow text nothing reaches it).

    `token_class` [V] uint16 sorts tokens into classes, class 0 is allowed nowhere (control tokens
    are in it); `next` [S, C] int16 is the state after a token of a class, -1 where it is not
    allowed. `is_final` [S]: lead + value stand whole. At a final state of a table without follow
    EOS is allowed too; EOS is in class 0 and the engine's business.
    `distance` [S] int32: the fewest tokens to a final state or `follow`. `reach` [S] int32: the
    largest `distance` over the states that one token leads to (0 if none): while more tokens than
    1 + reach are left, no token of the state has to be looked at.
    `forced[s]`: ids to append without sampling, of text that must come next, canonical and cut
    back to where nothing after it can merge; () where there is a choice or only one token to win.
    `completion[s]`: the text, "" included, that must come next and then the value is whole and
    cannot go on; None otherwise. A gen that reaches such a state is over.
    Both are known where a gen from the start may stand once it takes what is forced; elsewhere, and
    in the lead, they are () and None. In the lead a token is the next canonical one or goes beyond.
    `dfa` is over lead + value; `num_lead` its length of lead in bytes; `follow` as in the source.
    """

    token_class: NDArray[np.uint16]
    next: NDArray[np.int16]
    is_final: NDArray[np.bool_]
    distance: NDArray[np.int32]
    reach: NDArray[np.int32]
    forced: tuple[tuple[int, ...], ...]
    completion: tuple[str | None, ...]
    dfa: ByteDfa
    num_lead: int = 0
    follow: str = ""

    @property
    def num_states(self) -> int:
        return len(self.is_final)

    @property
    def fewest_tokens(self) -> int:
        return int(self.distance[0])


@dataclass(frozen=True, slots=True, eq=False)
class Grammar:
    """What is not regular, or too large for a table. `rules` is the language lead + value, which
    the closing tracker follows (`closing.py`): it knows what fits, the fewest tokens to the end,
    what is forced and where the value ends. `ebnf` is lead + value + follow in GBNF without its
    large counts (`loosen.py`), so it allows all tokens that `rules` and `follow` do, and more.
    `serialized` is what xgrammar made of it for this vocabulary, `version` the xgrammar that did:
    another version compiles `ebnf` again.

    As with a table, a token may reach into the follow text, which ends the gen, never beyond it;
    a gen is over too where its value cannot go on, and without follow where EOS is sampled."""

    rules: Rules
    ebnf: str
    serialized: str
    version: str
    fewest_tokens: int
    num_lead: int = 0
    follow: str = ""


Constraint = TokenTable | Grammar
