"""The trie that people see adds up to what is prefilled."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_programs import MODEL, RandomProgram, random_rows

import sglc
from sglc.bench.tiny_model import write_tiny_model
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate
from sglc.runtime.planner.batch import plan_batch
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows

SELECT = """
program p(a: str, b: str):
    "Doc {a} and {b}: "
    select kind from ["one", "other"]
    " so {b}"
    gen x(max_tokens=4, ignore_eos=true)
    return kind
"""


def sum_and_least(tmp_path: Path, source: str, seed: int) -> tuple[float, int]:
    """Of the texts' tokens in all copies, and of the tokens that nobody prefills fewer of."""
    write_tiny_model(tmp_path)
    config = load_config(locate(str(tmp_path)))
    program = sglc.compile(source, model=MODEL)
    bound = bind_rows(random_rows(seed, 12, 4), RowBinder(RowFields(program.plan.params)))
    facts = plan_batch(program.plan, MODEL.spec, config, bound)
    assert not facts.num_failed
    texts = [node for node in facts.trie if node.kind in ("const", "input")]
    return sum(node.tokens * node.copies for node in texts), facts.tokens.least


@pytest.mark.parametrize("seed", range(10))
def test_texts_add_up(seed: int, tmp_path: Path) -> None:
    """Rows whose texts differ in length and share beginnings of beginnings."""
    found, least = sum_and_least(tmp_path, RandomProgram(seed).source(), seed)
    assert found == pytest.approx(least, abs=0.01)


def test_texts_after_a_select_add_up(tmp_path: Path) -> None:
    found, least = sum_and_least(tmp_path, SELECT, 1)
    assert found == pytest.approx(least, abs=0.01)
