"""What each gen of a program may write: its source, compiled for the model's vocabulary.

A type, and an option that is constant, is compiled here, each distinct source once. An option that
depends on input stays an option, which the machine compiles when it knows the value.
Law: the program written is the same; what moves is where a piece's forced text is written, by the
append before it or by the gen (`leads.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sglc.codegen.automata.constraint import Constraint
from sglc.codegen.automata.option_source import option_source
from sglc.codegen.automata.source import ConstraintError, ConstraintSource
from sglc.codegen.leads import cut_leads
from sglc.codegen.plan import PlanConstraint
from sglc.ir import graph, ops
from sglc.ir.gen_options import CONSTRAINTS
from sglc.ir.host.error import HostError
from sglc.ir.host.evaluate import evaluate
from sglc.ir.host.expr import Value
from sglc.ir.host.total import is_total
from sglc.ir.module import Function
from sglc.ir.ops import Op
from sglc.ir.span import Span
from sglc.ir.types import STR, Type

DEFAULT_MAX_TOKENS = 128
UNKNOWN_SPARE = 1 << 30


class Compiler(Protocol):
    """What is needed of `automata/` and of the model's tokenizer."""

    def compile(self, source: ConstraintSource) -> Constraint: ...

    def lead(self, before: str, source: ConstraintSource) -> str:
        """The end of the forced text `before` that the gen had better write itself."""
        ...

    def num_tokens(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Constrained:
    """A gen's constraint, an index, and the tokens of max_tokens that a piece leaves to others."""

    constraint: int | None = None
    reserve: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """A value needs `fewest` tokens, in pieces or not, and its gen has `max_tokens`; None where
    that depends on input."""

    fewest: int
    max_tokens: int | None
    span: Span | None

    @property
    def spare(self) -> int:
        """Tokens that are left to the shortest value."""
        return UNKNOWN_SPARE if self.max_tokens is None else max(self.max_tokens - self.fewest, 0)

    @property
    def is_enough(self) -> bool:
        return self.max_tokens is None or self.max_tokens >= self.fewest


@dataclass(frozen=True, slots=True)
class ConstrainedProgram:
    """`gens` are by the id of the gen's value."""

    program: Function
    gens: Mapping[int, Constrained]
    constraints: tuple[PlanConstraint, ...]
    budgets: tuple[Budget, ...]


class WrongConstraint(Exception):
    """The constraint of the gen at `span` cannot be compiled; `source` is what it was."""

    def __init__(self, error: ConstraintError, source: ConstraintSource, span: Span | None) -> None:
        super().__init__(error.message)
        self.error, self.source, self.span = error, source, span


def constrain(program: Function, compiler: Compiler) -> ConstrainedProgram:
    """The constraints of a program without calls. Raises WrongConstraint."""
    leads = {
        op.value.id: compiler.lead(op.piece.before, _piece_source(op.type, op.piece.after))
        for op in graph.walk(program.body)
        if isinstance(op, ops.Gen) and op.piece is not None
    }
    led_program, led = cut_leads(program, leads)
    work = _Work(led_program, compiler, {id: lead for id, lead in leads.items() if id in led})
    for op in graph.walk(led_program.body):
        if isinstance(op, ops.Gen):
            work.gen(op)
    constraints = tuple(PlanConstraint(source, work.compiled[source]) for source in work.used)
    final = led_program
    if work.settled:
        final = _without_options(final, work.settled)
    if final is not program:
        final = _without_leftovers(final, graph.uses(program.body))
    return ConstrainedProgram(final, work.gens, constraints, tuple(work.budgets))


def _piece_source(type: Type, after: Sequence[str | Type]) -> ConstraintSource:
    """Of a piece before which nothing is taken from the append."""
    follow = after[0]
    assert isinstance(follow, str), "a text comes first"
    return ConstraintSource("type", type, in_record=True, follow=follow)


def _without_options(program: Function, settled: Collection[int]) -> Function:
    """The program whose gens of these ids have no constraining option."""

    def strip(op: Op) -> tuple[Op]:
        if not isinstance(op, ops.Gen) or op.value.id not in settled:
            return (op,)
        kept = tuple(option for option in op.options if option[0] not in CONSTRAINTS)
        return (replace(op, options=kept),)

    return replace(program, body=graph.map_ops(program.body, strip))


def _without_leftovers(program: Function, used: Collection[int]) -> Function:
    """The program without those lets of the ids `used` that nobody uses any more."""
    needed = graph.uses(program.body)

    def sweep(op: Op) -> tuple[Op, ...]:
        if not isinstance(op, ops.Let) or op.result.id not in used or not is_total(op.expr):
            return (op,)
        return (op,) if op.result.id in needed else ()

    return replace(program, body=graph.map_ops(program.body, sweep))


@dataclass(slots=True)
class _Work:
    """`used` are the sources of gens, with their places in the plan; `settled` the ids of gens
    whose constraining option is among them."""

    program: Function
    compiler: Compiler
    leads: Mapping[int, str]
    compiled: dict[ConstraintSource, Constraint] = field(default_factory=dict)
    used: dict[ConstraintSource, int] = field(default_factory=dict)
    gens: dict[int, Constrained] = field(default_factory=dict)
    budgets: list[Budget] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    openings: dict[int, int] = field(default_factory=dict)  # tokens, by the base of a piece
    spare: dict[int, int] = field(default_factory=dict)  # tokens above the fewest, likewise
    lets: dict[int, ops.Let] = field(init=False)

    def __post_init__(self) -> None:
        found = graph.walk(self.program.body)
        self.lets = {op.result.id: op for op in found if isinstance(op, ops.Let)}

    def gen(self, op: ops.Gen) -> None:
        source = self.source(op)
        if source is None:
            return
        index = self.used.setdefault(source, len(self.used))
        fewest, max_tokens = self.compile(source, op.span).fewest_tokens, self.max_tokens(op)
        if op.piece is None:
            self.budgets.append(Budget(fewest, max_tokens, op.span))
            self.gens[op.value.id] = Constrained(index)
            return
        others, num_texts = self.others(op, op.piece)
        if op.piece.base == op.context:
            budget = Budget(fewest + others, max_tokens, op.span)
            self.budgets.append(budget)
            self.spare[op.context.id] = budget.spare
        reserve = others + min(num_texts, self.spare[op.piece.base.id])
        self.gens[op.value.id] = Constrained(index, reserve)

    def source(self, op: ops.Gen) -> ConstraintSource | None:
        """What constrains the gen and is known here."""
        if op.piece is not None:
            source = _piece_source(op.type, op.piece.after)
            return replace(source, lead=self.leads.get(op.value.id, ""))
        for name, value in op.options:
            if name in CONSTRAINTS:
                try:
                    found = option_source(name, self.constant(value))
                except HostError:
                    return None
                except ConstraintError as error:
                    raise WrongConstraint(error, ConstraintSource(name), op.span) from error
                self.settled.add(op.value.id)
                return found
        return None if op.type == STR else ConstraintSource("type", op.type)

    def compile(self, source: ConstraintSource, span: Span | None) -> Constraint:
        if source not in self.compiled:
            try:
                self.compiled[source] = self.compiler.compile(source)
            except ConstraintError as error:
                raise WrongConstraint(error, source, span) from error
        return self.compiled[source]

    def constant(self, value: ops.Value) -> Value:
        """The value, or HostError where it is not known."""
        let = self.lets.get(value.id)
        if let is None:
            raise HostError("unsupported", "known only when it runs")
        return evaluate(let.expr, [self.constant(operand) for operand in let.operands])

    def max_tokens(self, op: ops.Gen) -> int | None:
        options = dict(op.options)
        if "max_tokens" not in options:
            return DEFAULT_MAX_TOKENS
        try:
            known = self.constant(options["max_tokens"])
        except HostError:
            return None
        return known if isinstance(known, int) else None

    # ------------------------------------------------------------ pieces

    def others(self, op: ops.Gen, piece: ops.Piece) -> tuple[int, int]:
        """Tokens of the value that neither this gen nor those before it write; and of how many
        texts among them the tokens may be one more, since a text is encoded together with what a
        gen before it has left over."""
        if piece.base == op.context:
            lead = self.leads.get(op.value.id, "")
            self.openings[piece.base.id] = self.text_tokens(piece.before, lead)
        tokens = self.openings[piece.base.id] + self.tokens_after(piece.after, op.span)
        return tokens, len(piece.after) // 2

    def tokens_after(self, after: Sequence[str | Type], span: Span | None) -> int:
        """Tokens of the texts and, at least, of the types that are still to be written."""
        text, *rest = after
        assert isinstance(text, str), "a text comes first"
        if not rest:
            return self.text_tokens(text, "")
        type, *behind = rest
        assert not isinstance(type, str), "texts and types take turns"
        source = _piece_source(type, behind)
        source = replace(source, lead=self.compiler.lead(text, source))
        fewest = self.compile(source, span).fewest_tokens
        return self.text_tokens(text, source.lead) + fewest + self.tokens_after(behind, span)

    def text_tokens(self, text: str, lead: str) -> int:
        """Of a forced text without the lead that its gen writes."""
        return self.compiler.num_tokens(text.removesuffix(lead))
