"""What gens may write: which sources are compiled, what pieces leave to others, what values need.

The compiler here takes a byte for a token; that more than one token may join is what
`tests/end_to_end/test_typed_records.py` has a real tokenizer for.
"""

from __future__ import annotations

import pytest

from sglc.codegen.automata.compile import compile_constraint
from sglc.codegen.automata.constraint import Constraint, TokenTable
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.codegen.constraints import ConstrainedProgram, WrongConstraint, constrain
from sglc.ir import graph, ops
from sglc.ir.text import parse_module
from sglc.ir.types import INT, IntType, LiteralType
from sglc.ir.verify import verify

BYTES = Vocabulary([bytes([byte]) for byte in range(256)], lambda text: list(text.encode()))


class ByBytes:
    """`leads` are the ends of forced texts that gens are to write, by the text."""

    def __init__(self, **leads: str) -> None:
        self.leads = {text.replace("_", ":"): lead for text, lead in leads.items()}
        self.asked: list[ConstraintSource] = []

    def compile(self, source: ConstraintSource) -> Constraint:
        self.asked.append(source)
        return compile_constraint(source, BYTES)

    def lead(self, before: str, source: ConstraintSource) -> str:
        return next((lead for end, lead in self.leads.items() if before.endswith(end)), "")

    def num_tokens(self, text: str) -> int:
        return len(text.encode())


def constrained(body: str, compiler: ByBytes | None = None) -> ConstrainedProgram:
    module = parse_module(f"program main(%0: str, %1: int) {{\n{body}\n}}")
    verify(module)
    return constrain(module.program, compiler or ByBytes())


def gens(program: ConstrainedProgram) -> list[ops.Gen]:
    return [op for op in graph.walk(program.program.body) if isinstance(op, ops.Gen)]


def test_each_distinct_source_is_compiled_once() -> None:
    found = constrained("""
  %2: ctx = start
  %3: ctx, %4: int = gen from %2 as int path [0]
  %5: ctx, %6: str = gen from %3 as str path [1]
  %7: ctx, %8: int(0..9) = gen from %5 as int(0..9) path [2]
  %9: ctx, %10: int = gen from %7 as int path [3]
  leave %9, %0""")
    assert [c.source for c in found.constraints] == [
        ConstraintSource("type", INT),
        ConstraintSource("type", IntType(0, 9)),
    ]
    assert {id: gen.constraint for id, gen in found.gens.items()} == {4: 0, 8: 1, 10: 0}


def test_constant_options_are_compiled_and_go() -> None:
    found = constrained("""
  %2: ctx = start
  %3: str = let "[ab]c"
  %4: float = let 0.5
  %5: ctx, %6: str = gen from %2 as str with (regex=%3, temperature=%4) path [0]
  %7: list[str] = let #["yes", "no"]
  %8: ctx, %9: str = gen from %5 as str with (choices=%7) path [1]
  %10: json = let {"type": "integer"}
  %11: ctx, %12: str = gen from %8 as str with (json_schema=%10) path [2]
  %13: ctx, %14: str = gen from %11 as str with (regex=%0) path [3]
  %15: ctx = append %13, %3
  leave %15, %0""")
    sources = [(c.source.kind, c.source.text) for c in found.constraints]
    assert sources == [
        ("regex", "[ab]c"),
        ("choices", '["yes","no"]'),
        ("json_schema", '{"type":"integer"}'),
    ]
    assert [[name for name, _ in gen.options] for gen in gens(found)] == [
        ["temperature"],
        [],
        [],
        ["regex"],
    ]
    # the choices were there for the gen alone, the regex is appended too
    lets = {op.result.id for op in graph.walk(found.program.body) if isinstance(op, ops.Let)}
    assert 3 in lets and 7 not in lets
    assert set(found.gens) == {6, 9, 12}


_NUMBER = '"\\",\\"n\\":"'
RECORD = f"""
  %2: ctx = start
  %3: str = let "{{\\"kind\\":\\""
  %4: ctx = append %2, %3
  %5: ctx, %6: "a" | "bc" = gen from %4 as "a" | "bc" OPTIONS path [0, 0] \\
    piece since %4 before "{{\\"kind\\":\\"" after [{_NUMBER}, int(10..99), "}}"]
  %7: str = let {_NUMBER}
  %8: ctx = append %5, %7
  %9: ctx, %10: int(10..99) = gen from %8 as int(10..99) OPTIONS path [0, 1] \\
    piece since %4 before {_NUMBER} after ["}}"]
  %11: str = let "}}"
  %12: ctx = append %9, %11
  leave %12, %0""".replace("\\\n", "")


def test_pieces_keep_what_the_others_need() -> None:
    found = constrained(RECORD.replace("OPTIONS", ""))
    kind = ConstraintSource("type", LiteralType(("a", "bc")), in_record=True, follow='","n":')
    number = ConstraintSource("type", IntType(10, 99), in_record=True, follow="}")
    assert [c.source for c in found.constraints] == [kind, number]
    opening, between, closing = len('{"kind":"'), len('","n":'), len("}")
    # a text behind a gen may take a token more, together with what the gen left over
    assert found.gens[6].reserve == opening + between + 2 + closing + 1
    assert found.gens[10].reserve == opening + closing
    (budget,) = found.budgets
    assert (budget.fewest, budget.max_tokens) == (opening + 1 + between + 2 + closing, 128)


def test_a_budget_without_a_token_to_spare_keeps_none_for_borders() -> None:
    (budget,) = constrained(RECORD.replace("OPTIONS", "")).budgets
    for spare in (0, 1):
        body = f"\n  %20: int = let {budget.fewest + spare}{RECORD}"
        found = constrained(body.replace("OPTIONS", "with (max_tokens=%20)"))
        assert found.gens[6].reserve == budget.fewest - 1 + spare
        assert found.budgets[0].is_enough
    body = f"\n  %20: int = let {budget.fewest - 1}{RECORD}"
    found = constrained(body.replace("OPTIONS", "with (max_tokens=%20)"))
    assert not found.budgets[0].is_enough


@pytest.mark.parametrize(
    ("lets", "option", "most"),
    [("%20: int = let 7", "%20", 7), ("%20: int = let 3 + 4", "%20", 7), ("", "%1", None)],
)
def test_budgets_know_constant_max_tokens(lets: str, option: str, most: int | None) -> None:
    body = f"\n  {lets}{RECORD}".replace("OPTIONS", f"with (max_tokens={option})")
    (budget,) = constrained(body).budgets
    assert budget.max_tokens == most


def test_a_lead_is_the_gens_and_counts_once() -> None:
    plain = constrained(RECORD.replace("OPTIONS", ""))
    led = constrained(RECORD.replace("OPTIONS", ""), ByBytes(**{'"n"_': '":'}))
    source = led.constraints[1].source
    assert (source.lead, source.follow) == ('":', "}")
    made = led.constraints[1].compiled
    assert isinstance(made, TokenTable) and made.num_lead == 2 and made.fewest_tokens == 4
    texts = [op.expr for op in graph.walk(led.program.body) if isinstance(op, ops.Let)]
    assert [getattr(text, "value", None) for text in texts] == ['{"kind":"', '","n', "}"]
    # two tokens less of forced text, two more of the piece
    assert led.budgets[0].fewest == plain.budgets[0].fewest


def test_a_constraint_that_cannot_be_compiled_names_its_gen() -> None:
    with pytest.raises(WrongConstraint) as caught:
        constrained("""
  %2: ctx = start
  %3: str = let "a("
  %5: ctx, %6: str = gen from %2 as str with (regex=%3) path [0]
  leave %5, %0""")
    assert caught.value.source == ConstraintSource("regex", text="a(")
    with pytest.raises(WrongConstraint, match="there twice"):
        constrained("""
  %2: ctx = start
  %3: list[str] = let #["a", "a"]
  %5: ctx, %6: str = gen from %2 as str with (choices=%3) path [0]
  leave %5, %0""")
