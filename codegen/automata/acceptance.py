"""Whether a constraint allows a text, without tokens: for tests and stand-ins of models."""

from __future__ import annotations

from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.constraint import Constraint, TokenTable
from sglc.codegen.automata.lead import lead_states


def accepts(constraint: Constraint, text: str) -> bool:
    """Whether `text` is lead + value."""
    if isinstance(constraint, TokenTable):
        dfa, state = constraint.dfa, 0
        for byte in text.encode():
            state = int(dfa.next[state, dfa.classes[byte]])
            if state < 0:
                return False
        return bool(dfa.is_final[state])
    closing = Closing(constraint.rules)
    end = closing.advance(closing.start(), text.encode())
    return end is not None and end.is_whole


def lead_text(constraint: Constraint) -> str:
    """The lead, with which every text of the constraint begins."""
    if isinstance(constraint, TokenTable):
        lead, _ = lead_states(constraint.dfa, constraint.num_lead)
        return lead.decode()
    if not constraint.num_lead:
        return ""
    closing = Closing(constraint.rules)
    return closing.completion(closing.start())[: constraint.num_lead].decode()
