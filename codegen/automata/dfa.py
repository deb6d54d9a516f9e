"""From an expression to the least automaton over UTF-8 bytes that accepts its texts."""

from __future__ import annotations

from sglc.codegen.automata.alphabet import alphabet_of
from sglc.codegen.automata.class_dfa import trim
from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.expr import Expr, Rules
from sglc.codegen.automata.minimize import minimize
from sglc.codegen.automata.nfa import determinize
from sglc.codegen.automata.source import NoText
from sglc.codegen.automata.thompson import NfaBuilder
from sglc.codegen.automata.utf8 import to_bytes


def byte_dfa(language: Expr | Rules) -> ByteDfa:
    """Raises TooLarge beyond the bounds of `limits.py`, and for a rule that contains itself;
    NoText if there is no text in the language."""
    rules = language if isinstance(language, Rules) else Rules(language)
    alphabet = alphabet_of([rules.root, *(expr for _, expr in rules.rules)])
    nfa = NfaBuilder(alphabet, rules).build(rules.root)
    dfa = trim(determinize(nfa, alphabet.num_classes))
    if dfa is None:
        raise NoText("no text satisfies this constraint")
    return to_bytes(minimize(dfa), alphabet)
