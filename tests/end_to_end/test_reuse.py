"""Equal deterministic gens of different rows are run once, with a real engine: what is run is what
brute force says, and outputs do not depend on it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from sglc.compiler.driver import compile_file
from sglc.runtime.row import RowDone
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, open_session

torch.set_num_threads(1)

# which fields each request of a row sees: `guide` none, `tone` (twice) the channel, the select and
# `pitch` channel and place, `free` (above temperature 0) all and the row's key, `fixed` the place
PROGRAM = """
def voice(channel: str) -> str:
    "speak on {channel}: "
    gen tone
    return tone

program p(channel: str, place: str, id: int):
    defaults temperature=0, max_tokens=4, ignore_eos=true
    "the old mill: "
    gen guide
    "{channel}: {run voice(channel)} in {place} {run voice(channel)}; "
    select kind from ["river", "boats wait"]
    gen pitch
    gen free(temperature=0.9)
    let fixed = run draw(place)
    return [guide, kind, pitch, free, fixed]

def draw(place: str) -> str:
    "in {place}: "
    gen drawn(temperature=0.9, seed=7)
    return drawn
"""
SKIPS = [(), ("cse",), ("hoist",), ("reuse",), ("cse", "hoist"), ("cse", "hoist", "reuse")]


def rows() -> list[dict[str, object]]:
    draw = random.Random(5)
    return [{"channel": draw.choice("abc"), "place": draw.choice("xy"), "id": i} for i in range(24)]


@pytest.fixture(scope="module")
def ran(tiny_model: Path) -> dict[tuple[str, ...], tuple[list[object], int, int]]:
    """By what was skipped: outputs, requests run, requests merged."""
    session = open_session(str(tiny_model))
    found = {}
    for skip in SKIPS:
        plan = compile_file(None, PROGRAM, spec=session.spec, skip=skip).plan
        engine = session.make_engine(EngineOptions("cpu", "float32", "dummy"))
        bound = bind_rows(rows(), RowBinder(RowFields(plan.params, row_id="id")))
        outcomes = list(run(plan, session.spec, engine, bound, window=5))
        outputs = [o.output for o in outcomes if isinstance(o, RowDone)]
        found[skip] = outputs, engine.stats.requests, engine.stats.merged_requests
    return found


def test_what_is_run_is_what_differs(ran) -> None:
    table = rows()
    channels = {row["channel"] for row in table}
    places = {row["place"] for row in table}
    both = {(row["channel"], row["place"]) for row in table}
    once = 1 + len(channels) + 2 * len(both) + len(table) + len(places)
    assert [ran[skip][1] for skip in SKIPS[:3]] == [once] * 3
    n = len(table)
    assert ran["reuse",][1] == 1 + 5 * n  # `guide` is shared by all rows, `tone` in each row
    assert ran["cse", "hoist", "reuse"][1:] == (7 * n, 0)
    # a row of its own asks seven times, unless cse made one of two
    assert sum(ran["cse", "hoist"][1:]) == 7 * n
    assert sum(ran[()][1:]) == 6 * n


def test_outputs_do_not_depend_on_what_is_merged(ran) -> None:
    whole = ran[()][0]
    assert len(whole) == len(rows())
    assert all(ran[skip][0] == whole for skip in SKIPS)
    # samples of rows that agree in all fields but the key differ, and those of an equal seed do not
    assert len({output[3] for output in whole}) > len(whole) / 2
    assert len({output[4] for output in whole}) <= 2
