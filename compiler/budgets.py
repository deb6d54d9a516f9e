"""What gens may write, compiled for the model; and whether max_tokens leaves room for a value."""

from __future__ import annotations

from sglc.codegen.automata.constraint import Constraint, TokenTable
from sglc.codegen.automata.merging import lead_of
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.codegen.constraints import Budget, ConstrainedProgram, WrongConstraint, constrain
from sglc.compiler.diagnostics import CompileErrors, Diagnostic, error, whole_file
from sglc.ir.module import Function
from sglc.ir.span import Source
from sglc.runtime.model.spec import ModelSpec, Tokenizer

_CODES = {"regex": "E0606", "json_schema": "E0607", "ebnf": "E0608", "choices": "E0609"}


def constrain_gens(
    program: Function, sources: tuple[Source, ...], spec: ModelSpec
) -> ConstrainedProgram:
    """The constraints of a program without calls. Raises CompileErrors for one that cannot be
    compiled, and for all gens that could never write a whole value in their max_tokens."""
    try:
        found = constrain(program, _ForTokenizer(spec.tokenizer))
    except WrongConstraint as wrong:
        raise CompileErrors([_wrong(wrong)], sources) from wrong
    # a gen may be there several times, inlined or unrolled
    errors = {budget.span: _too_small(budget) for budget in found.budgets if not budget.is_enough}
    if errors:
        raise CompileErrors(list(errors.values()), sources)
    return found


class _ForTokenizer:
    """Compiles sources for a tokenizer's vocabulary, each once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._compiled: dict[ConstraintSource, Constraint] = {}
        self._leads: dict[tuple[str, ConstraintSource], str] = {}

    def compile(self, source: ConstraintSource) -> Constraint:
        # most programs have no constraint, and need none of what makes them
        from sglc.codegen.automata.compile import compile_constraint

        if source not in self._compiled:
            self._compiled[source] = compile_constraint(source, vocabulary_of(self._tokenizer))
        return self._compiled[source]

    def lead(self, before: str, source: ConstraintSource) -> str:
        key = (before, source)
        if key not in self._leads:
            made = self.compile(source)
            lead = ""
            # how a grammar's texts begin is not looked at: they begin where the forced text ends
            if isinstance(made, TokenTable):
                vocabulary = vocabulary_of(self._tokenizer)
                lead = lead_of(before, made.dfa, vocabulary, follow=source.follow)
            self._leads[key] = lead
        return self._leads[key]

    def num_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text))


def _too_small(budget: Budget) -> Diagnostic:
    return error(
        "E0705",
        f"the shortest value of this gen takes {budget.fewest:,} tokens of the model, and "
        f"max_tokens is {budget.max_tokens:,}",
        budget.span or whole_file(0),
        "never whole",
        help=f"give it max_tokens={budget.fewest} or more",
    )


def _wrong(wrong: WrongConstraint) -> Diagnostic:
    where = f" at {wrong.error.pointer}" if wrong.error.pointer is not None else ""
    return error(
        _CODES.get(wrong.source.kind, "E0604"),
        f"this gen cannot be constrained: {wrong.error.message}{where}",
        wrong.span or whole_file(0),
        "constrained here",
    )
