"""Bounds of lengths: exact numbers by hand, and a lower bound that no row goes below."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir.interpret import interpret
from sglc.ir.testing import EXTERNS, random_module, random_row
from sglc.ir.text import parse_module
from sglc.ir.toy import ToyContext, ToyModel
from sglc.passes import run_pipeline
from sglc.passes.lengths import Lengths, lengths
from sglc.passes.measure import Measure

# a token a character; `<user>` opens a role and `</user>` closes it, a control token each
CHARACTERS = Measure(
    encode=lambda text: range(len(text)),
    stable_len=len,
    longest_token=4,
    start=(0,),
    opening={("", "user"): (0, 1, "user:"), ("user", "user"): (1, "user:")},
    closing={"user": (2,)},
)
# of a model that wants no mark at the start, whose roles are one token
BARE = Measure(
    encode=lambda text: range(len(text.encode())),
    stable_len=len,
    longest_token=1,
    start=(),
    opening={("", "user"): (1,), ("user", "user"): (1,)},
    closing={"user": (2,)},
)


def bounds(body: str, params: str = "%0: str", measure: Measure = CHARACTERS) -> Lengths:
    module = parse_module(f"program main({params}) {{\n{body}\n}}")
    return lengths(module.program, measure)


@pytest.mark.parametrize(
    ("params", "shortest", "longest"),
    [
        ("%0: str", 1 + 7, None),
        # 4 bytes a character at most, and a token where two texts meet
        ("%0: str(min_length=8, max_length=10)", 1 + 7 + 2, 1 + 7 + 40 + 1),
        ("%0: int(1..100)", 1 + 7 + 1, 1 + 7 + 3 + 1),
        ("%0: bool", 1 + 7 + 1, 1 + 7 + 5 + 1),
        ('%0: "yes" | "no"', 1 + 7 + 1, 1 + 7 + 5 + 1),
        ("%0: json", 1 + 7 + 1, None),
    ],
)
def test_inputs_count_by_their_types(params: str, shortest: int, longest: int | None) -> None:
    found = bounds(
        """
  %1: ctx = start
  %2: str = let t"Essay: {%0}"
  %3: ctx = append %1, %2
  leave %3, %0""",
        params,
    )
    assert (found.shortest, found.longest) == (shortest, longest)


def test_constants_count_exactly_with_their_roles() -> None:
    found = bounds("""
  %1: ctx = start
  %2: str = let "hello"
  %3: ctx<user> = open %1, "user"
  %4: ctx<user> = append %3, %2
  %5: ctx = close %4
  %6: ctx<user> = open %5, "user"
  %7: ctx<user> = append %6, %2
  %8: ctx = close %7
  leave %8, %2""")
    assert found == Lengths(1 + 2 * (1 + 10 + 1), 1 + 2 * (1 + 10 + 1), None)


def test_gens_count_by_their_options() -> None:
    found = bounds("""
  %1: ctx = start
  %2: int = let 7
  %3: int = let 3
  %4: ctx, %5: str = gen from %1 as str with (max_tokens=%2, min_tokens=%3) path [0]
  %6: ctx, %7: str = gen from %4 as str path [1]
  %8: ctx = append %6, %5
  leave %8, %5""")
    # room for the second gen's 128 tokens is needed, though it may end at once
    assert (found.shortest, found.longest) == (1 + 3 + 128, 1 + 7 + 128 + 7)


def test_pieces_of_a_value_have_max_tokens_together() -> None:
    opened = 'piece since %4 before "{a:" after'
    found = bounds(
        f"""
  %1: ctx = start
  %2: int = let 20
  %3: str = let "say {{a:"
  %4: ctx = append %1, %3
  %5: ctx, %6: int = gen from %4 as int with (max_tokens=%2) path [0, 0] {opened} [",b:", int, "}}"]
  %7: str = let ",b:"
  %8: ctx = append %5, %7
  %9: ctx, %10: int = gen from %8 as int with (max_tokens=%2) path [0, 1] \\
    piece since %4 before ",b:" after ["}}"]
  %11: str = let "}}"
  %12: ctx = append %9, %11
  leave %12, %0""".replace("\\\n", "")
    )
    # from before the value, at whose first text a token is lost or won by its border
    assert found.shortest == 1 + len("say ") - 1 + 20
    assert found.longest == 1 + len("say {a:") + 20


def test_a_condition_counts_with_its_shorter_arm() -> None:
    body = """
  %1: ctx = start
  %2: str = let "12345"
  %3: ctx = if %0 {{
    %4: ctx = append %1, %2
    %5: ctx = append %4, %2
    yield %5
  }} else {{
    %6: ctx = append %1, %2
    {end}
  }}
  %7: ctx = append %3, %2
  leave %7, %2"""
    both = bounds(body.format(end="yield %6"), "%0: bool")
    assert (both.shortest, both.longest) == (1 + 5 + 2, 1 + 10 + 1 + 5)
    leaving = bounds(body.format(end="leave %6, %2"), "%0: bool")
    assert (leaving.shortest, leaving.longest) == (1 + 5, 1 + 10 + 5)


def test_loops_grow_by_the_longest_round() -> None:
    body = """
  %1: ctx = start
  %2: str = let "ab"
  %3: ctx = for %0 carrying (%1) (%4: bool, %5: int, %6: ctx) {
    %7: ctx = append %6, %2
    continue %7
  }
  leave %3, %2"""
    some = bounds(body, "%0: list[bool](min_items=1, max_items=5)")
    assert some.shortest == 1 + 2
    assert some.longest is not None and 1 + 10 <= some.longest <= 1 + 10 + 5
    assert bounds(body, "%0: list[bool](min_items=1)").longest is None
    assert bounds(body, "%0: list[bool](max_items=5)").shortest == 0


def test_a_fork_counts_when_it_has_branches() -> None:
    body = """
  %1: ctx = start
  %2: str = let "abc"
  %3: group{}, %4: ctxs = fork %1 over %0 fields [] (%5: ctx, %6: bool, %7: int) {
    %8: ctx = append %5, %2
    yield %8
  }
  %9: ctx = join %1, %4 since %1
  leave %9, %2"""
    assert bounds(body, "%0: list[bool](max_items=4)", BARE) == Lengths(0, 12, None)
    assert bounds(body, "%0: list[bool](min_items=1)", BARE) == Lengths(3, None, None)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_row_is_shorter_than_the_shortest(seed: int) -> None:
    draw = random.Random(seed)
    module = run_pipeline(random_module(draw))
    found = lengths(module.program, BARE)
    sizes = [0]
    real_add, real_sample = ToyContext.add, ToyModel.sample

    def size(context: ToyContext) -> int:
        is_mark = {"open", "close", "control"}
        return sum(1 if p.kind in is_mark else len(p.text.encode()) for p in context.pieces)

    def add(context: ToyContext, kind: str, text: str) -> ToyContext:
        result = real_add(context, kind, text)
        sizes.append(size(result))
        return result

    def sample(model, context, type, options, path):
        sizes.append(size(context) + options.get("max_tokens", 128))
        return real_sample(model, context, type, options, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyContext, "add", add)
        patch.setattr(ToyModel, "sample", sample)
        result = interpret(module, random_row(draw), ToyModel(seed), EXTERNS)
    if result.failure is None:
        assert found.shortest <= max(sizes)
