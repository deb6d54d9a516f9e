"""Grammars for xgrammar: compiled once for a vocabulary, kept as text, and loaded again.

What xgrammar is given is wider than the constraint: its large counts are left out (`loosen.py`).
Which of the tokens that it allows belong to the constraint is known from `Grammar.rules`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

from sglc.codegen.automata.build import seq
from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.constraint import Grammar
from sglc.codegen.automata.cover import fewest_tokens
from sglc.codegen.automata.expr import Rules
from sglc.codegen.automata.gbnf import gbnf
from sglc.codegen.automata.loosen import loosened
from sglc.codegen.automata.vocabulary import Vocabulary

# xgrammar's TokenizerInfo and GrammarCompiler
_compilers: WeakKeyDictionary[Vocabulary, tuple[Any, Any]] = WeakKeyDictionary()


def compile_grammar(
    rules: Rules, vocabulary: Vocabulary, *, num_lead: int = 0, follow: str = ""
) -> Grammar:
    """`rules` are of lead + value. Raises ConstraintError where there is no text."""
    closing = Closing(rules)
    loose = loosened(rules)
    text = gbnf(Rules(seq(loose.root, follow), loose.rules))
    _, compiler = _prepared(vocabulary)
    compiled = compiler.compile_grammar(text)
    return Grammar(
        rules=rules,
        ebnf=text,
        serialized=compiled.serialize_json(),
        version=version("xgrammar"),
        fewest_tokens=fewest_tokens(closing.completion(closing.start()), vocabulary),
        num_lead=num_lead,
        follow=follow,
    )


def load_grammar(grammar: Grammar, vocabulary: Vocabulary) -> tuple[Any, str | None]:
    """xgrammar's CompiledGrammar, and a note when what was stored did not do and the grammar was
    compiled again: it is of another version of xgrammar, or for another vocabulary."""
    import xgrammar

    info, compiler = _prepared(vocabulary)
    found = version("xgrammar")
    if grammar.version == found:
        try:
            compiled = xgrammar.CompiledGrammar.deserialize_json(grammar.serialized, info)
        except RuntimeError as error:
            # its errors say what differs on their first line
            reason = f"the stored form is not valid: {str(error).splitlines()[0]}"
        else:
            return compiled, None
    else:
        reason = f"it was compiled with xgrammar {grammar.version}, this is {found}"
    return compiler.compile_grammar(grammar.ebnf), f"a grammar was compiled again: {reason}"


def _prepared(vocabulary: Vocabulary) -> tuple[Any, Any]:
    import xgrammar  # takes seconds, and most programs have no grammar

    if vocabulary not in _compilers:
        info = xgrammar.TokenizerInfo(
            list(vocabulary.tokens),
            xgrammar.VocabType.RAW,
            vocab_size=vocabulary.size,
            stop_token_ids=sorted(vocabulary.eos_ids),
        )
        _compilers[vocabulary] = info, xgrammar.GrammarCompiler(info)
    return _compilers[vocabulary]
