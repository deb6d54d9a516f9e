"""How a text that was begun under some rules can end soonest: for grammars, near the budget.

After some bytes the text may stand at several places of the rules; a state is the set of all of
them. A place is a leaf of the rules, how far it got in it, and what follows: a linked stack, shared
by all states (partial derivatives of regular expressions, Antimirov 1996, with calls).
Law: `completion(s)` is one of the shortest ends and the least of these, so after a part of it the
rest of it is the completion: who follows it, or writes something else of no greater distance,
always ends in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sglc.codegen.automata.expr import Rules
from sglc.codegen.automata.pushdown import Call, Chain, Choice, Leaf, Loop, Node, Pushdown
from sglc.codegen.automata.source import NoText

_MAX_FRAMES = 200_000  # kept to be shared


class Frame:
    """`node` is to go on from `place` (of a leaf; parts done of a chain; rounds done of a loop),
    and then `rest`. `left` is the fewest bytes to the end of everything."""

    __slots__ = ("left", "node", "place", "rest")

    def __init__(self, node: Node, place: int, rest: Frame | None, left: int) -> None:
        self.node, self.place, self.rest, self.left = node, place, rest, left


@dataclass(frozen=True, slots=True)
class State:
    """Where a text may stand: before a byte of each frame's leaf; if `is_whole`, at the end too."""

    frames: frozenset[Frame]
    is_whole: bool

    @property
    def is_over(self) -> bool:
        """The text is whole and cannot go on."""
        return not self.frames


class Closing:
    """Raises NoText if there is no text that ends."""

    def __init__(self, rules: Rules) -> None:
        self._pushdown = Pushdown(rules)
        self._frames: dict[tuple[Node, int, Frame | None], Frame] = {}
        if self._pushdown.least(self._pushdown.root) is None:
            raise NoText("no text satisfies this constraint")
        self._start = self._state([(self._pushdown.root, 0, None)])

    def start(self) -> State:
        return self._start

    def advance(self, state: State, text: bytes) -> State | None:
        """The state after more bytes; None where they cannot come."""
        for byte in text:
            places: list[tuple[Node, int, Frame | None]] = []
            for frame in state.frames:
                assert isinstance(frame.node, Leaf)
                place = frame.node.step(frame.place, byte)
                if place >= 0:
                    places.append((frame.node, place, frame.rest))
            if not places:
                return None
            state = self._state(places)
        return state

    def only(self, state: State) -> int | None:
        """The byte that must come; None where there is a choice, or the text may end."""
        if state.is_whole:
            return None
        found = -1
        for frame in state.frames:
            assert isinstance(frame.node, Leaf)
            byte = frame.node.only(frame.place)
            if byte is None or found not in (-1, byte):
                return None
            found = byte
        return found

    def distance(self, state: State) -> int:
        """The fewest bytes to a whole text."""
        return 0 if state.is_whole else min(frame.left for frame in state.frames)

    def completion(self, state: State) -> bytes:
        """The shortest text after which the whole is one; of several, the first in order."""
        text = bytearray()
        while left := self.distance(state):
            byte = min(_nearest(state, left))
            text.append(byte)
            after = self.advance(state, bytes([byte]))
            assert after is not None
            state = after
        return bytes(text)

    def _state(self, places: list[tuple[Node, int, Frame | None]]) -> State:
        """The state at these places: leaves that a byte can go on from, and whether the end is
        one of them."""
        if len(self._frames) > _MAX_FRAMES:
            self._frames.clear()
        leaves: set[Frame] = set()
        is_whole = False
        seen = set(places)
        while places:
            node, place, rest = places.pop()
            if isinstance(node, Leaf):
                if max(node.next[place]) >= 0:
                    leaves.add(self._frame(node, place, rest))
                follows = node.left[place] == 0
                entered: list[tuple[Node, int, Frame | None]] = []
            else:
                entered, follows = self._enter(node, place, rest)
            if follows:
                if rest is None:
                    is_whole = True
                else:
                    entered.append((rest.node, rest.place, rest.rest))
            for one in entered:
                if one not in seen:
                    seen.add(one)
                    places.append(one)
        return State(frozenset(leaves), is_whole)

    def _enter(
        self, node: Node, place: int, rest: Frame | None
    ) -> tuple[list[tuple[Node, int, Frame | None]], bool]:
        """What may come at a place of a node that is no leaf, and whether its end may."""
        match node:
            case Chain(parts):
                # the last part needs no frame to come back to
                after = self._frame(node, place + 1, rest) if place + 1 < len(parts) else rest
                return ([(parts[place], 0, after)], False) if place < len(parts) else ([], True)
            case Choice(options):
                return [(option, 0, rest) for option in options if self._can_end(option)], False
            case Loop(item, low, high):
                entered: list[tuple[Node, int, Frame | None]] = []
                if (high is None or place < high) and self._can_end(item):
                    done = min(place + 1, low) if high is None else place + 1
                    entered.append((item, 0, self._frame(node, done, rest)))
                return entered, place >= low
            case Call(rule):
                return [(self._pushdown.rules[rule], 0, rest)], False
        raise AssertionError("a leaf is not entered")

    def _can_end(self, node: Node) -> bool:
        return self._pushdown.least(node) is not None

    def _frame(self, node: Node, place: int, rest: Frame | None) -> Frame:
        key = (node, place, rest)
        if key not in self._frames:
            left = (rest.left if rest else 0) + self._left(node, place)
            self._frames[key] = Frame(node, place, rest, left)
        return self._frames[key]

    def _left(self, node: Node, place: int) -> int:
        """The fewest bytes from a place of a node to the node's end."""
        least = self._pushdown.least
        match node:
            case Leaf(left=left):
                return left[place]
            case Chain(parts):
                return sum(least(part) or 0 for part in parts[place:])
            case Loop(item, low, _):
                return max(low - place, 0) * (least(item) or 0)
        raise AssertionError("a choice or a call has no frame")


def _nearest(state: State, left: int) -> Iterator[int]:
    """The bytes that bring a state that is `left` bytes from the end nearer to it."""
    for frame in state.frames:
        assert isinstance(frame.node, Leaf)
        # at the end of its leaf, what follows has a frame of its own
        if frame.left == left and frame.node.left[frame.place] > 0:
            yield frame.node.nearest(frame.place)
