"""Rules as nodes over bytes: leaves are automata without a stack, the rest says how they follow
each other.

Law: `least(node)` is the number of bytes of the node's shortest text, None where it has no text.
Regular parts become one leaf while they are small; large counts stay counts.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Rules, Seq, Text
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.source import NoText, NotSupported

_LEAF_SIZE = 300  # characters of a regular part, repeats written out, that make one leaf


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """An automaton: `next[p][classes[byte]]` is the place after a byte, -1 where it cannot come.
    `left[p]` bytes at least lead from place p to an end; there `left` is 0."""

    classes: bytes
    next: list[list[int]]
    left: list[int]

    def step(self, place: int, byte: int) -> int:
        return self.next[place][self.classes[byte]]

    def only(self, place: int) -> int | None:
        """The byte that alone may come; None where there are several or none."""
        allowed = [class_ for class_, to in enumerate(self.next[place]) if to >= 0]
        if len(allowed) != 1 or self.classes.count(allowed[0]) != 1:
            return None
        return self.classes.index(allowed[0])

    def nearest(self, place: int) -> int:
        """The least byte that leads nearer to an end, for a place that is none."""
        row, wanted = self.next[place], self.left[place] - 1
        near = {class_ for class_, to in enumerate(row) if to >= 0 and self.left[to] == wanted}
        return next(byte for byte in range(256) if self.classes[byte] in near)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One node after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    item: Node
    low: int
    high: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    rule: str


Node = Leaf | Chain | Choice | Loop | Call


class Pushdown:
    """The nodes of some rules. Raises NotSupported where an intersection is too large."""

    def __init__(self, rules: Rules) -> None:
        self._exprs = dict(rules.rules)
        self._made: dict[int, Node] = {}
        self.root = self._node(rules.root)
        self.rules = {name: self._node(expr) for name, expr in rules.rules}
        self._least: dict[str, int | None] = dict.fromkeys(self.rules)
        self._settle()

    def least(self, node: Node) -> int | None:
        match node:
            case Leaf(left=left):
                return left[0]
            case Chain(parts):
                found = [self.least(part) for part in parts]
                return None if None in found else sum(n for n in found if n is not None)
            case Choice(options):
                return min((n for o in options if (n := self.least(o)) is not None), default=None)
            case Loop(item, low, _):
                if low == 0:
                    return 0
                once = self.least(item)
                return None if once is None else low * once
            case Call(rule):
                return self._least[rule]

    def _settle(self) -> None:
        """Lengths of rules from those of the rules that they call, until none gets shorter."""
        is_settled = False
        while not is_settled:
            is_settled = True
            for name, node in self.rules.items():
                found = self.least(node)
                if found != self._least[name]:
                    self._least[name], is_settled = found, False

    def _node(self, expr: Expr) -> Node:
        # the expressions live as long as `rules` does: an id names one
        if id(expr) not in self._made:
            self._made[id(expr)] = self._make(expr)
        return self._made[id(expr)]

    def _make(self, expr: Expr) -> Node:
        size = _size(expr)
        if size is not None and (size <= _LEAF_SIZE or isinstance(expr, Both)):
            with suppress(TooLarge):
                return _leaf(expr)
        match expr:
            case Text(text):
                return _text_leaf(text.encode())
            case Seq(parts):
                return Chain(tuple(map(self._node, parts)))
            case Alt(options):
                return Choice(tuple(map(self._node, options)))
            case Repeat(item, low, high):
                return Loop(self._node(item), low, high)
            case Ref(name):
                return Call(name)
        raise NotSupported("it is too large: what must hold at once has no small automaton")


def _size(expr: Expr) -> int | None:
    """The characters of a regular expression, repeats written out; None with a reference."""
    match expr:
        case Text(text):
            return len(text)
        case Chars():
            return 1
        case Repeat(item, low, high):
            size = _size(item)
            return None if size is None else size * max(low + 1 if high is None else high, 1)
        case Ref():
            return None
        case Seq(parts) | Alt(parts) | Both(parts):
            sizes = [_size(part) for part in parts]
            return None if None in sizes else sum(size for size in sizes if size is not None)


def _text_leaf(text: bytes) -> Leaf:
    alphabet = sorted(set(text))
    classes = bytearray([len(alphabet)] * 256)
    for class_, byte in enumerate(alphabet):
        classes[byte] = class_
    rows = [[-1] * (len(alphabet) + 1) for _ in range(len(text) + 1)]
    for place, byte in enumerate(text):
        rows[place][classes[byte]] = place + 1
    return Leaf(bytes(classes), rows, list(range(len(text), -1, -1)))


@lru_cache(1024)
def _leaf(expr: Expr) -> Leaf | Choice:
    """The leaf of a regular expression, or a choice of nothing. Raises TooLarge."""
    if isinstance(expr, Text):
        return _text_leaf(expr.text.encode())
    try:
        dfa = byte_dfa(expr)
    except NoText:
        return Choice(())
    return Leaf(bytes(dfa.classes.tolist()), dfa.next.tolist(), _distances(dfa))


def _distances(dfa: ByteDfa) -> list[int]:
    """[D] the fewest bytes from each state to a final one."""
    far = len(dfa.is_final)
    found = np.where(dfa.is_final, 0, far)
    targets = np.where(dfa.next >= 0, dfa.next, len(found))
    while True:
        shorter = np.minimum(found, np.append(found, far)[targets].min(axis=1) + 1)
        if (shorter == found).all():
            return [int(n) for n in found]
        found = shorter
