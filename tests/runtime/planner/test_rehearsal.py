"""A rehearsal counts what a run counts, where lengths are known; and no switch changes a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import sglc
from sglc.bench.tiny_model import write_tiny_model
from sglc.runtime.engine.request import EngineStats
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate
from sglc.runtime.planner.batch import plan_batch
from sglc.runtime.row import Outcome
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, open_session

SOURCE = """
program p(document: str, question: str):
    "Continue: {document}\\n"
    gen title(max_tokens=11, temperature=0, ignore_eos=true)
    fork word in ["clear", "score", "judge"] as f:
        "{word} {question}:"
        gen first(max_tokens=40, temperature=0, ignore_eos=true)
        " and then "
        gen second(max_tokens=3 + len(question), temperature=0, ignore_eos=true)
    return [branch.second for branch in f]
"""
OPTIONS = EngineOptions("cpu", "float32", "dummy")
ROWS = [
    {"document": f"the old river {i % 5} runs past " * 3, "question": "who" * (1 + i % 4)}
    for i in range(24)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder)
    return folder


def run_rows(
    folder: Path, options: EngineOptions, window: int = 8
) -> tuple[list[Outcome], EngineStats]:
    program = sglc.compile(SOURCE, model=folder)
    session = open_session(str(folder))
    engine = session.make_engine(options)
    bound = bind_rows(ROWS, RowBinder(RowFields(program.plan.params)))
    outcomes = list(
        run(
            program.plan,
            session.spec,
            engine,
            bound,
            window=window,
            order=options.order,
            parallel=options.parallel,
        )
    )
    return outcomes, engine.stats


@pytest.mark.parametrize("share_of_peak", [None, 0.5, 0.2])
def test_where_lengths_are_known_the_facts_are_the_runs(
    folder: Path, share_of_peak: float | None
) -> None:
    program = sglc.compile(SOURCE, model=folder)
    config = load_config(locate(str(folder)))
    spec = open_session(str(folder)).spec

    def plan(kv_memory: int | None):  # type: ignore[no-untyped-def]
        bound = bind_rows(ROWS, RowBinder(RowFields(program.plan.params)))
        return plan_batch(program.plan, spec, config, bound, kv_memory=kv_memory, window=8)

    facts, kv_memory = plan(None), None
    if share_of_peak is not None:
        kv_memory = int(facts.kv.peak_bytes * share_of_peak)
        facts = plan(kv_memory)
    _, stats = run_rows(folder, replace(OPTIONS, kv_memory=kv_memory))
    assert facts.lengths_are_known and facts.rows == len(ROWS) and not facts.num_failed
    assert facts.tokens.decoded == stats.decoded_tokens
    assert len(facts.steps) == stats.steps
    assert facts.kv.peak_tokens == stats.peak_kv_tokens
    if kv_memory is None:
        assert facts.tokens.prompt == stats.prompt_tokens
        assert facts.tokens.prefilled == stats.prefilled_tokens == facts.tokens.least
    assert sum(step.decode_rows for step in facts.steps) <= stats.decoded_tokens
    assert max(step.kv_tokens for step in facts.steps) <= facts.kv.peak_tokens


def test_the_trie_has_a_node_for_each_place(folder: Path) -> None:
    program = sglc.compile(SOURCE, model=folder)
    bound = bind_rows(ROWS, RowBinder(RowFields(program.plan.params)))
    facts = plan_batch(
        program.plan, open_session(str(folder)).spec, load_config(locate(str(folder))), bound
    )
    gens = [node.name for node in facts.trie if node.kind == "gen"]
    assert gens == ["title", *["first", "second"] * 3]
    top = facts.trie[0]
    assert (top.parent, top.kind, top.copies) == (-1, "const", 1)
    assert top.text.startswith("Continue: the old river")
    assert all(node.parent < place for place, node in enumerate(facts.trie))
    gens_of = dict(facts.row_kv.gens)
    assert gens_of == {"title": 11, "first": 40, "second": None}
    assert dict(facts.row_kv.inputs)["document"] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"share": False},
        {"tree": False},
        {"parallel": False},
        {"order": "arrival"},
        {"order": "random"},
    ],
    ids=str,
)
def test_no_switch_changes_a_result(folder: Path, options: dict[str, object]) -> None:
    expected, usual = run_rows(folder, OPTIONS)
    found, stats = run_rows(folder, replace(OPTIONS, **options))  # type: ignore[arg-type]
    assert [o.output for o in found] == [o.output for o in expected]  # type: ignore[union-attr]
    if options == {"share": False}:
        assert stats.prefilled_tokens == stats.prompt_tokens > usual.prefilled_tokens
    if options == {"parallel": False}:
        assert stats.steps > 2 * usual.steps
