"""From an expression to a nondeterministic automaton: Thompson's construction.

Ken Thompson, Regular Expression Search Algorithm, Communications of the ACM 11 (6), 1968.
"""

from __future__ import annotations

from functools import cache

from sglc.codegen.automata.alphabet import Alphabet
from sglc.codegen.automata.class_dfa import ClassDfa, intersect
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Rules, Seq, Text
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.nfa import Nfa, determinize


class NfaBuilder:
    """Adds an expression to an automaton between two states. References are replaced by their
    rules; one that reaches itself raises TooLarge, since it would never end."""

    def __init__(self, alphabet: Alphabet, rules: Rules) -> None:
        self._alphabet = alphabet
        self._rules = dict(rules.rules)
        self._open: list[str] = []  # the rules that are being replaced
        self._classes = cache(alphabet.classes)

    def build(self, expr: Expr) -> Nfa:
        nfa = Nfa()
        nfa.start = nfa.new_state()
        nfa.final = self._add(nfa, expr, nfa.start)
        return nfa

    def _add(self, nfa: Nfa, expr: Expr, start: int) -> int:
        """The state after `expr` from `start`. Nothing leads back into `start`."""
        match expr:
            case Text(text):
                for character in text:
                    point = ord(character)
                    start = self._move(nfa, start, self._classes(((point, point),)))
                return start
            case Chars(ranges):
                return self._move(nfa, start, self._classes(ranges))
            case Seq(parts):
                for part in parts:
                    start = self._add(nfa, part, start)
                return start
            case Alt(options):
                end = nfa.new_state()
                for option in options:
                    nfa.jumps[self._add(nfa, option, self._branch(nfa, start))].append(end)
                return end
            case Repeat(item, low, high):
                return self._repeat(nfa, item, low, high, start)
            case Both(parts):
                return self._embed(nfa, self._intersection(parts), start)
            case Ref(name):
                return self._expand(nfa, name, start)

    def _repeat(self, nfa: Nfa, item: Expr, low: int, high: int | None, start: int) -> int:
        for _ in range(low):
            start = self._add(nfa, item, start)
        end = nfa.new_state()
        if high is None:
            again = self._branch(nfa, start)
            nfa.jumps[self._add(nfa, item, self._branch(nfa, again))].append(again)
            nfa.jumps[again].append(end)
            return end
        for _ in range(low, high):
            # each may be the last: a jump to one end keeps the sets of states small
            nfa.jumps[start].append(end)
            start = self._add(nfa, item, self._branch(nfa, start))
        nfa.jumps[start].append(end)
        return end

    def _move(self, nfa: Nfa, start: int, classes: tuple[int, ...]) -> int:
        end = nfa.new_state()
        if classes:
            nfa.moves[start].append((classes, end))
        return end

    def _branch(self, nfa: Nfa, start: int) -> int:
        state = nfa.new_state()
        nfa.jumps[start].append(state)
        return state

    def _intersection(self, parts: tuple[Expr, ...]) -> ClassDfa:
        dfas = [self.build(part) for part in parts]
        first, *others = [determinize(nfa, self._alphabet.num_classes) for nfa in dfas]
        for other in others:
            first = intersect(first, other)
        return first

    def _embed(self, nfa: Nfa, dfa: ClassDfa, start: int) -> int:
        states = [nfa.new_state() for _ in range(len(dfa.is_final))]
        end = nfa.new_state()
        nfa.jumps[start].append(states[0])
        for state, row in enumerate(dfa.next.tolist()):
            by_target: dict[int, list[int]] = {}
            for class_, target in enumerate(row):
                if target >= 0:
                    by_target.setdefault(target, []).append(class_)
            nfa.moves[states[state]] = [
                (tuple(classes), states[target]) for target, classes in by_target.items()
            ]
            if dfa.is_final[state]:
                nfa.jumps[states[state]].append(end)
        return end

    def _expand(self, nfa: Nfa, name: str, start: int) -> int:
        if name in self._open:
            raise TooLarge(f"rule {name} contains itself")
        self._open.append(name)
        end = self._add(nfa, self._rules[name], start)
        self._open.pop()
        return end
