"""Every program under examples/ prefills the trie of its requests, and no more memory than planned.

The reference takes the prompts as the engine was asked for them and counts distinct prefixes: it
knows no tree, no order and no memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sglc.bench.tiny_model import write_tiny_model
from sglc.compiler.driver import compile_file
from sglc.runtime.engine.request import Engine, GenResult, Request, Result, ScoreRequest
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate
from sglc.runtime.planner.batch import plan_batch
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

EXAMPLES = Path(__file__).parents[2] / "examples"
NUM_ROWS = 3
MOST_TOKENS = 6  # of a free gen here: what the programs allow takes minutes
PROGRAMS = sorted(
    str(path.relative_to(EXAMPLES))
    for path in EXAMPLES.glob("*/*.sgl")
    if re.search(r"^program ", source := path.read_text("utf-8"), re.MULTILINE)
    and not re.search(r"^extern ", source, re.MULTILINE)
)
ROWS = {"replay": "traces"}  # where a folder has several files of rows


@dataclass(frozen=True)
class Model:
    session: Session
    config: ModelConfig


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder, context_len=8192)
    return Model(open_session(str(folder)), load_config(locate(str(folder))))


def shortened(source: str) -> str:
    """The program with its free gens cut; a typed value keeps the room it needs."""

    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{min(int(match[2]), MOST_TOKENS)}"

    return "".join(
        line
        if "regex=" in line or "Character" in line
        else re.sub(r"(max_tokens=|MAX_TOKENS = )(\d+)", shorter, line)
        for line in source.splitlines(keepends=True)
    )


class Counting:
    """Passes all on to an engine, and keeps the token prefixes of what it is asked: no handles,
    which would keep KV alive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._prompts: set[tuple[int, ...]] = set()
        self._others: set[tuple[int, ...]] = set()  # that a gen wrote or a select ran

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @property
    def trie_size(self) -> int:
        return len(self._prompts - self._others)

    def submit(self, request: Request) -> None:
        prompt = tuple(request.prefix.token_ids())
        self._prompts.update(prompt[:n] for n in range(1, len(prompt) + 1))
        if isinstance(request, ScoreRequest):
            for choice in request.choices:
                # the last token of a choice is not run to score it
                self._others.update(prompt + choice[:n] for n in range(1, len(choice)))
        self._engine.submit(request)

    def step(self) -> list[Result]:
        results = self._engine.step()
        for result in results:
            if isinstance(result, GenResult):
                before, after = result.request.prefix.num_tokens, result.prefix.token_ids()
                self._others.update(tuple(after[:n]) for n in range(before + 1, len(after) + 1))
        return results


@pytest.mark.parametrize("program", PROGRAMS)
def test_prefill_is_the_trie_and_memory_as_planned(model: Model, program: str) -> None:
    path = EXAMPLES / program
    name = ROWS.get(path.stem)
    file = path.with_name(f"{name}.jsonl") if name else next(iter(path.parent.glob("*.jsonl")))
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()[:NUM_ROWS]]
    spec = model.session.spec
    plan = compile_file(path, shortened(path.read_text("utf-8")), spec=spec).plan

    def bound():  # type: ignore[no-untyped-def]
        return bind_rows(rows, RowBinder(RowFields(plan.params)))

    engine = Counting(model.session.make_engine(EngineOptions("cpu", "float32", "dummy")))
    outcomes = list(run(plan, spec, engine, bound()))
    assert all(hasattr(outcome, "output") for outcome in outcomes)
    stats = engine.stats
    assert stats.prefilled_tokens - stats.forced_tokens == engine.trie_size
    assert stats.recomputed_tokens == 0

    facts = plan_batch(plan, spec, model.config, bound())
    assert stats.peak_kv_tokens <= facts.kv.peak_tokens
    if facts.lengths_are_known:
        assert stats.peak_kv_tokens == facts.kv.peak_tokens
        assert stats.steps == len(facts.steps)
    # a text may happen to go on as a gen did: the trie has it once, the engine twice
    assert facts.tokens.least <= facts.tokens.prefilled <= 1.01 * facts.tokens.least
