"""Rules as text in GBNF, for xgrammar.

GBNF has no intersection: `Both` becomes an automaton, and each of its states a rule. It cannot say
"no text" either: what has none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from sglc.codegen.automata.alphabet import Alphabet, alphabet_of
from sglc.codegen.automata.build import EMPTY, NOTHING, alt, chars, seq
from sglc.codegen.automata.class_dfa import ClassDfa, trim
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Rules, Seq, Text
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.minimize import minimize
from sglc.codegen.automata.nfa import determinize
from sglc.codegen.automata.pushdown import Pushdown
from sglc.codegen.automata.rules import pruned, rewritten
from sglc.codegen.automata.source import NoText, NotSupported
from sglc.codegen.automata.thompson import NfaBuilder


def gbnf(rules: Rules) -> str:
    """A grammar of the same texts, whose rule `root` is the root. Raises NoText where there
    is none, NotSupported where an intersection is too large."""
    rules = _with_text(_without_both(rules))
    if rules.root == NOTHING:
        raise NoText("no text satisfies this constraint")
    names = {name: f"r{i}" for i, (name, _) in enumerate(rules.rules)}
    lines = [f"root ::= {_text(rules.root, names)}"]
    lines += [f"{names[name]} ::= {_text(expr, names)}" for name, expr in rules.rules]
    return "\n".join(lines) + "\n"


def _without_both(rules: Rules) -> Rules:
    added: dict[Expr, str] = {}
    made: dict[str, Expr] = {}

    def replace(expr: Expr) -> Expr | None:
        if not isinstance(expr, Both):
            return None
        if expr not in added:
            added[expr] = f"both {len(added)}"
            made.update(_automaton(expr, added[expr]))
        return Ref(f"{added[expr]} 0")

    root = rewritten(rules.root, replace)
    others = tuple((name, rewritten(expr, replace)) for name, expr in rules.rules)
    return Rules(root, (*others, *made.items()))


def _automaton(both: Both, name: str) -> Iterator[tuple[str, Expr]]:
    """A rule for each state, called after its number."""
    alphabet = alphabet_of([both])
    try:
        found = trim(
            determinize(NfaBuilder(alphabet, Rules(both)).build(both), alphabet.num_classes)
        )
    except TooLarge as error:
        raise NotSupported(f"it is too large: {error}") from error
    if found is None:
        yield f"{name} 0", NOTHING
        return
    dfa = minimize(found)
    for state, is_final in enumerate(dfa.is_final):
        yield f"{name} {state}", alt(*_moves(dfa, state, alphabet, name), *[EMPTY] * bool(is_final))


def _moves(dfa: ClassDfa, state: int, alphabet: Alphabet, name: str) -> Iterator[Expr]:
    ends = [*alphabet.bounds[1:], 0x110000]
    intervals = zip(alphabet.class_of, alphabet.bounds, ends, strict=True)
    by_target: dict[int, list[tuple[int, int]]] = {}
    for class_, low, end in intervals:
        target = int(dfa.next[state, class_]) if class_ >= 0 else -1
        if target >= 0:
            by_target.setdefault(target, []).append((low, end - 1))
    for target, ranges in by_target.items():
        yield seq(chars(ranges), Ref(f"{name} {target}"))


def _with_text(rules: Rules) -> Rules:
    """The same without the parts and rules that have no text."""
    pushdown = Pushdown(rules)
    dead = {name for name, node in pushdown.rules.items() if pushdown.least(node) is None}

    def replace(expr: Expr) -> Expr | None:
        return NOTHING if isinstance(expr, Ref) and expr.name in dead else None

    kept = ((name, expr) for name, expr in rules.rules if name not in dead)
    others = tuple((name, rewritten(expr, replace)) for name, expr in kept)
    return pruned(Rules(rewritten(rules.root, replace), others))


def _text(expr: Expr, names: dict[str, str]) -> str:
    match expr:
        case Text(text):
            return " ".join(_literals(text)) or '""'
        case Chars(ranges):
            return "[" + "".join(map(_range, ranges)) + "]"
        case Seq(parts):
            return " ".join(
                f"({_text(part, names)})" if isinstance(part, Alt) else _text(part, names)
                for part in parts
            )
        case Alt(options):
            return " | ".join(_text(option, names) for option in options)
        case Repeat(item, low, None):
            # a star, since xgrammar prepares the masks of counted repeats only as they are asked
            # for: 0.1 s each in a text over a vocabulary of 49,152
            one = f"({_text(item, names)})"
            return f"{one}{{{low}}} {one}*" if low > 1 else one + "*+"[low]
        case Repeat(item, low, high):
            return f"({_text(item, names)}){{{low},{high}}}"
        case Ref(name):
            return names[name]
        case Both():
            raise AssertionError("an intersection is left")


def _literals(text: str) -> Iterator[str]:
    """Quoted strings; a NUL, which would end one, is a class."""
    for i, part in enumerate(text.split("\0")):
        if i:
            yield r"[\u0000]"
        if part:
            yield '"' + "".join(c if _is_plain(c) else _escape(ord(c)) for c in part) + '"'


def _range(ends: tuple[int, int]) -> str:
    low, high = (_in_class(chr(end)) for end in ends)
    return low if low == high else f"{low}-{high}"


def _in_class(char: str) -> str:
    if char in "-]^\\":
        return "\\" + char  # by its number it would mean what it does without a backslash
    return char if char.isalnum() and char.isascii() else _escape(ord(char))


def _is_plain(char: str) -> bool:
    return " " <= char <= "~" and char not in '"\\'


def _escape(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
