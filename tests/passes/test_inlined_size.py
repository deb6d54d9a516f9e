"""The size that is told before inlining is the size after it."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir import graph
from sglc.ir.testing import random_module
from sglc.passes.inline import inline
from sglc.passes.inlined_size import inlined_size


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_the_size_is_that_after_inlining(seed: int) -> None:
    module = random_module(random.Random(seed))
    inlined = list(graph.walk(inline(module).program.body))
    # a body that leaves early is inlined as one more op
    scopes = sum(type(op).__name__ == "Scope" for op in inlined)
    assert len(inlined) - scopes <= inlined_size(module).num_ops <= len(inlined)
