"""The constraints of a run: those that the plan brings along, and those that rows decide, each
compiled once for a distinct value.

Law: what a constraint allows does not depend on which of the two it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from sglc.codegen.automata.option_source import option_source
from sglc.codegen.automata.source import ConstraintError, ConstraintSource
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.codegen.plan import PlanConstraint
from sglc.ir.host.expr import Value
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.row import RowFailure

MAX_COMPILED = 256  # that stay, of those that rows decide


class Constraints:
    def __init__(self, from_plan: Sequence[PlanConstraint], tokenizer: Tokenizer) -> None:
        self.from_plan = from_plan
        self._tokenizer = tokenizer
        self._compiled: OrderedDict[ConstraintSource, PlanConstraint] = OrderedDict()

    def of_option(self, name: str, value: Value) -> PlanConstraint:
        """The constraint of an option (regex, json_schema, ebnf, choices) with this value. Raises
        `RowFailure` "bad_constraint" for one that cannot be compiled."""
        try:
            source = option_source(name, value)
            found = self._compiled.get(source)
            if found is None:
                found = self._compile(source)
        except ConstraintError as error:
            raise RowFailure("bad_constraint", f"{name}: {_described(error)}") from None
        self._compiled.move_to_end(source)
        return found

    def _compile(self, source: ConstraintSource) -> PlanConstraint:
        # programs without such options need none of what compiles them
        from sglc.codegen.automata.compile import compile_constraint

        compiled = compile_constraint(source, vocabulary_of(self._tokenizer))
        found = self._compiled[source] = PlanConstraint(source, compiled)
        if len(self._compiled) > MAX_COMPILED:
            self._compiled.popitem(last=False)
        return found


def _described(error: ConstraintError) -> str:
    if error.offset is not None:
        return f"{error.message}, at character {error.offset + 1}"
    if error.pointer is not None:
        return f"{error.message}, at {error.pointer or 'the top'} of the schema"
    return error.message
