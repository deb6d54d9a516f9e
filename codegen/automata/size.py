"""How large an automaton gets, told from the expression: what is far too large for a table is not
built first."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Rules, Seq, Text
from sglc.codegen.automata.limits import MAX_BYTE_STATES, TooLarge
from sglc.codegen.automata.source import NoText

_ITEM_SIZE = 8  # nodes of what is repeated, to be built to be measured


def check_size(rules: Rules) -> None:
    """Raises TooLarge where the automaton over bytes would surely exceed its bound, unless its
    repeats collapse, as those of (a{0,900}){0,900} do; and for a rule that contains itself."""
    states = _Sizes(rules).states(rules.root)
    if states > MAX_BYTE_STATES:
        raise TooLarge(f"about {states:,} states over bytes")


class _Sizes:
    def __init__(self, rules: Rules) -> None:
        self._exprs = dict(rules.rules)
        self._states: dict[str, int | None] = {}  # None while it is looked at

    def states(self, expr: Expr) -> int:
        """The states of the longest way through an expression, counts written out, loops once."""
        match expr:
            case Text(text):
                return len(text.encode())
            case Chars():
                return 1
            case Repeat(item, low, high):
                return self._item(item) * (max(low, 1) if high is None else high)
            case Seq(parts):
                return sum(map(self.states, parts))
            case Alt(options):
                return max(map(self.states, options), default=0)
            case Both(parts):
                return min(map(self.states, parts))
            case Ref(name):
                return self._rule(name)

    def _item(self, item: Expr) -> int:
        """Of one more of what is repeated: a character out of many takes several bytes."""
        return max(self.states(item), _built(item) if _num_nodes(item) <= _ITEM_SIZE else 0)

    def _rule(self, name: str) -> int:
        if name not in self._states:
            self._states[name] = None
            self._states[name] = self.states(self._exprs[name])
        found = self._states[name]
        if found is None:
            raise TooLarge(f"rule {name} contains itself")
        return found


@lru_cache(1024)
def _built(expr: Expr) -> int:
    """The states of the expression's own automaton, without the start; 0 where it has none."""
    with suppress(TooLarge, NoText):
        return len(byte_dfa(expr).is_final) - 1
    return 0


def _num_nodes(expr: Expr) -> int:
    """More than _ITEM_SIZE for what is not measured: references, repeats, intersections."""
    match expr:
        case Text() | Chars():
            return 1
        case Seq(parts) | Alt(parts):
            return 1 + sum(map(_num_nodes, parts))
        case _:
            return _ITEM_SIZE + 1
