"""Every program under examples/ runs on a tiny model, and asks for as many gens as it should."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from sglc.bench.recording import RecordingEngine
from sglc.bench.tiny_model import write_tiny_model
from sglc.compiler.driver import compile_file
from sglc.runtime.extern_file import load_externs
from sglc.runtime.row import Outcome, RowDone
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

EXAMPLES = Path(__file__).parents[2] / "examples"
MOST_TOKENS = 6  # of a free gen here: what the programs allow takes minutes


@dataclass(frozen=True)
class Shape:
    """What a program asks of the engine for each of its first rows: gens and selects by name."""

    program: str
    rows: str
    asks: tuple[dict[str, int], ...]


def same(**asks: int) -> tuple[dict[str, int], ...]:
    return (asks, asks)


SHAPES = (
    Shape("best_of_n/best_of_n.sgl", "questions", same(solution=64)),
    Shape(
        "generative_agents/agents.sgl",
        "calls",
        ({"rating": 1}, {"parts": 1}, {"signs": 1}, {"place": 1}, {"object": 1}),
    ),
    Shape("gsm8k/gsm8k.sgl", "questions", same(answer=1)),
    Shape("hellaswag/hellaswag.sgl", "scenes", same(ending=1)),
    Shape("json_character/character.sgl", "names", same(character=12)),
    Shape(
        "json_decode/city.sgl",
        "cities",
        same(name=1, country=1, latitude=1, population=1, landmarks=1),
    ),
    Shape("line_retrieval/lines.sgl", "lines", same(number=1)),
    Shape("llm_judge/judge.sgl", "essays", same(judgement=6, score=1)),
    Shape(
        "long_json_decode/long_city.sgl",
        "cities",
        same(name=1, country=1, latitude=1, landmark=1),
    ),
    Shape("mmlu/mmlu.sgl", "questions", same(answer=1)),
    Shape("mtbench/mtbench.sgl", "questions", same(answer=2)),
    Shape("multi_chain_reasoning/multi_chain.sgl", "questions", same(steps=5, answer=1)),
    Shape("multi_document_qa/qa.sgl", "questions", same(answer=1)),
    Shape("multi_turn_chat/chat.sgl", "chats", same(answer=4)),
    Shape("page_fields/fields.sgl", "pages", same(name=1, born=1, work=1)),
    Shape("rag/rag.sgl", "questions", same(answer=1, source=1)),
    Shape("react/live.sgl", "questions", same(turn=5)),
    Shape("react/replay.sgl", "traces", ({"turn": 1, "last": 1}, {"turn": 2, "last": 1})),
    Shape("table_enrichment/enrich.sgl", "products", same(audience=1, shelf=1, note=2)),
    Shape("ticket_triage/triage.sgl", "tickets", same(team=1, level=2, reply=1)),
    Shape("tip_suggestion/tips.sgl", "topics", same(tip=5, paragraph=5)),
    Shape("tree_of_thought/deep.sgl", "questions", same(thought=30)),
    Shape("tree_of_thought/tree_of_thought.sgl", "questions", same(thought=39)),
)


def shortened(source: str) -> str:
    """The program with its free gens cut to MOST_TOKENS; a typed value keeps the room it needs."""

    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{min(int(match[2]), MOST_TOKENS)}"

    lines = source.splitlines(keepends=True)
    return "".join(
        line
        if "regex=" in line or "Character" in line
        else re.sub(r"(max_tokens=|MAX_TOKENS = )(\d+)", shorter, line)
        for line in lines
    )


class Bench:
    def __init__(self, folder: Path) -> None:
        write_tiny_model(folder, context_len=8192)
        self.session: Session = open_session(str(folder))

    def run(
        self, program: str, rows: list, *, deterministic: bool = False
    ) -> tuple[list[Outcome], RecordingEngine]:
        path = EXAMPLES / program
        plan = compile_file(path, shortened(path.read_text()), spec=self.session.spec).plan
        options = EngineOptions("cpu", "float32", "dummy", deterministic=deterministic)
        engine = RecordingEngine(self.session.make_engine(options))
        externs = load_externs([str(file) for file in path.parent.glob("tools.py")])
        bound = bind_rows(rows, RowBinder(RowFields(plan.params)))
        return list(run(plan, self.session.spec, engine, bound, externs=externs)), engine


def read_rows(program: str, name: str, count: int) -> list:
    lines = (EXAMPLES / program).with_name(f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines[:count]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("model"))


def test_no_program_is_left_out() -> None:
    programs = {p for p in EXAMPLES.glob("*/*.sgl") if "\nprogram " in p.read_text("utf-8")}
    named = {str(path.relative_to(EXAMPLES)) for path in programs}
    assert named == {shape.program for shape in SHAPES}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.program)
def test_each_row_asks_for_what_the_program_says(bench: Bench, shape: Shape) -> None:
    rows = read_rows(shape.program, shape.rows, len(shape.asks))
    outcomes, engine = bench.run(shape.program, rows)
    failed = [outcome for outcome in outcomes if not isinstance(outcome, RowDone)]
    assert not failed
    found = Counter(recorded.request.name.split(".")[0] for recorded in engine.recorded)
    wanted = sum(map(Counter, shape.asks), Counter())
    stats = engine.stats
    assert stats.requests + stats.merged_requests == wanted.total()
    assert found.total() == stats.requests  # equal requests are run once
    assert found <= wanted


@pytest.mark.parametrize(
    ("program", "rows"),
    [("best_of_n/best_of_n.sgl", "questions"), ("tree_of_thought/deep.sgl", "questions")],
)
def test_a_rows_samples_do_not_depend_on_the_order_of_rows(
    bench: Bench, program: str, rows: str
) -> None:
    data = read_rows(program, rows, 4)
    shuffled = data.copy()
    random.Random(1).shuffle(shuffled)
    assert shuffled != data
    texts = []
    for order in (data, shuffled):
        outcomes, engine = bench.run(program, order, deterministic=True)
        assert all(isinstance(outcome, RowDone) for outcome in outcomes)
        of_row = {row: [gen.text for gen in gens] for row, gens in engine.gens().items()}
        assert all(len(set(of_row[index])) > 3 for index in of_row)  # it does sample
        texts.append({json.dumps(order[index]): of_row[index] for index in of_row})
    assert texts[0] == texts[1]
