"""Does the program fit? Its size, with fragments written out, against what is sensible to compile;
the lengths of its contexts against the model's.

Of lengths only what no row can avoid is an error; the rest is checked by row, with its real length.
"""

from __future__ import annotations

from sglc.codegen.plan import LengthBounds
from sglc.compiler.diagnostics import CompileErrors, error, whole_file
from sglc.ir.module import Function, Module
from sglc.ir.span import Source
from sglc.passes.inlined_size import inlined_size
from sglc.passes.lengths import lengths
from sglc.passes.measure import Measure
from sglc.runtime.model.spec import ModelSpec

MAX_OPS = 20_000  # such a program takes about half a minute to compile


def check_size(module: Module) -> None:
    """Raises CompileErrors when inlining would make a program of more than MAX_OPS ops."""
    found = inlined_size(module)
    if found.num_ops <= MAX_OPS:
        return
    call = found.largest
    where = None if call is None else call.span
    message = (
        f"with its fragments written out this program has {found.num_ops:,} operations, "
        f"and {MAX_OPS:,} is the most"
    )
    label = "" if call is None else "most of them come from here"
    help = "a fragment that calls another twice doubles it: call it in a loop, or less often"
    raise CompileErrors(
        [error("E0802", message, where or whole_file(0), label, help=help)], module.sources
    )


def fit(program: Function, sources: tuple[Source, ...], spec: ModelSpec) -> LengthBounds:
    """The bounds of a program without calls. Raises CompileErrors when every row needs a longer
    context than the model takes."""
    found = lengths(program, _measure(spec))
    most = spec.identity.context_len
    if found.shortest > most:
        raise CompileErrors(
            [
                error(
                    "E0704",
                    f"every row of this program needs a context of {found.shortest:,} tokens or "
                    f"more, and the model takes {most:,}",
                    found.span or whole_file(0),
                    "reached here",
                    help="shorten the constant text, lower max_tokens, or compile for a model "
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
