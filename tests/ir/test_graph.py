"""Walking and rebuilding are generic, so the table of shapes must know every op and field."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir import graph, ops
from sglc.ir.host.total import is_total
from sglc.ir.ops import Value
from sglc.ir.testing import random_module
from sglc.ir.text import parse_module, print_module

FEW = settings(max_examples=40, deadline=None)


def test_every_op_has_a_shape_that_names_every_value_and_region() -> None:
    assert set(graph.SHAPES) == set(get_args(ops.Op))
    for op, shape in graph.SHAPES.items():
        named = {*shape.results, *shape.operands, *shape.regions, "path"}
        for field in fields(op):
            holds_values = any(each in str(field.type) for each in ("Value", "Region", "Piece"))
            assert (field.name in named) == (holds_values or field.name == "path"), (op, field)


@FEW
@given(st.integers(0, 2**32))
def test_rebuilding_without_changes_yields_an_equal_region(seed: int) -> None:
    body = random_module(random.Random(seed)).program.body
    assert graph.Substitution({}).region(body) == body
    assert graph.map_ops(body, lambda op: (op,)) == body


@FEW
@given(st.integers(0, 2**32))
def test_a_clone_is_the_same_under_other_names(seed: int) -> None:
    program = random_module(random.Random(seed)).program
    before = {value.id for value in graph.definitions(program.body)}
    copy = graph.clone(program.body, graph.FreshIds(program))
    after = [value.id for value in graph.definitions(copy)]
    assert len(set(after)) == len(after) and not before & set(after)
    names = dict(zip(after, (v.id for v in graph.definitions(program.body)), strict=True))

    def old(value: Value) -> Value:
        return Value(names[value.id], value.type, value.name)

    def renamed(region: ops.Region) -> ops.Region:
        return ops.Region(
            tuple(map(old, region.args)),
            tuple(graph.rebuild(op, operand=old, result=old, region=renamed) for op in region.ops),
            graph.rebuild_end(region.end, old),
        )

    assert renamed(copy) == program.body


MODULE = parse_module("""
program main(%0: list[str], %1: str) -> str {
  %2: ctx = start
  %3: ctx = for %0 carrying (%2) (%4: str, %5: int, %6: ctx) {
    %7: ctx, %8: str = gen from %6 as str path [1, %5]
    %9: bool = let %8 == %1
    if %9 {
      break %7
    } else {
      leave %7, %8
    }
    continue %7
  }
  leave %3, %1
}
""")


def test_uses_and_free_values() -> None:
    body = MODULE.program.body
    loop = body.ops[1]
    assert isinstance(loop, ops.For)
    assert graph.uses(body)[7] == 3 and graph.uses(body)[5] == 1 and graph.uses(body)[1] == 2
    assert list(graph.free_values(loop.body)) == [1]
    assert graph.jumps_of(loop) == {ops.Leave}
    assert graph.jumps_inside(loop.body) == {ops.Leave, ops.Break}
    assert graph.leaves_early(body)


def test_substitution_reaches_paths_and_nested_regions() -> None:
    loop = MODULE.program.body.ops[1]
    assert isinstance(loop, ops.For)
    new = Value(50, loop.body.args[2].type, "c")
    changed = graph.Substitution({6: new}, {5: 3}).region(loop.body)
    gen = changed.ops[0]
    assert isinstance(gen, ops.Gen)
    assert gen.context == new and gen.path == (1, 3)
    prefixed = graph.prefix_paths(loop.body, (9, new)).ops[0]
    assert isinstance(prefixed, ops.Gen) and prefixed.path == (9, new, 1, loop.body.args[1])


def test_total_expressions() -> None:
    source = """program main(%0: json, %1: json) {{
      %2: ctx = start
      %3: json = let {}
      leave %2, %3
    }}"""
    total = [
        "%0", "[%0, 1]", 't"{%0}"', "not %0 == %1", '{"a": %0}', "%0 and %1", "try(%0.x, %1)",
        "%0 if %1 else 2",
    ]  # fmt: skip
    partial = ["%0.x", "%0 + 1", "%0 < %1", 't"{%0:.2f}"', "{%0: 1}", "try(1, %0.x)", "len(%0)"]
    for text in (*total, *partial):
        let = parse_module(source.format(text)).program.body.ops[1]
        assert isinstance(let, ops.Let)
        assert is_total(let.expr) == (text in total), print_module(
            parse_module(source.format(text))
        )
