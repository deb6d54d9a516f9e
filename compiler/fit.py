"""Does the program fit the model? Bounds of its contexts' lengths, against the model's.

Only what no row can avoid is an error; the rest is checked by row, with its real length.
"""

from __future__ import annotations

from sglc.codegen.plan import LengthBounds
from sglc.compiler.diagnostics import CompileErrors, error, whole_file
from sglc.ir.ops import Function
from sglc.ir.span import Source
from sglc.passes.lengths import lengths
from sglc.passes.measure import Measure
from sglc.runtime.model.spec import ModelSpec


def fit(program: Function, sources: tuple[Source, ...], spec: ModelSpec) -> LengthBounds:
    """The bounds of a program without calls. Raises CompileErrors when the shortest context that a
    row can have is longer than the model takes."""
    found = lengths(program, _measure(spec))
    most = spec.identity.context_len
    if found.shortest > most:
        raise CompileErrors(
            [
                error(
                    "E0704",
                    f"the shortest context of this program has {found.shortest:,} tokens, "
                    f"and the model takes {most:,}",
                    found.span or whole_file(0),
                    "reached here",
                    help="shorten the constant text, lower min_tokens, or compile for a model "
                    "with a longer context",
                )
            ],
            sources,
        )
    return LengthBounds(found.shortest, found.longest)


def _measure(spec: ModelSpec) -> Measure:
    tokenizer, markup = spec.tokenizer, spec.markup
    longest = max(len(tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size))
    return Measure(
        encode=tokenizer.encode,
        stable_len=tokenizer.stable_len,
        longest_token=max(longest, 1),
        start=markup.start,
        opening=markup.opening,
        closing=markup.closing,
    )
