"""What a gen may write: from types, regexes, schemas and grammars to tables over tokens.

`source.py` says what the author wrote; `expr.py` is the one language that all of them become;
regular ones end as a `TokenTable`, the rest as a `Grammar` for xgrammar's matcher. The compiler
uses this folder for what is constant, the runtime for constraints that depend on input values.
Knows nothing of programs, contexts or the engine.
"""
