"""A run leaves nothing to the search for cycles, which it puts off: memory does not grow with the
rows."""

from __future__ import annotations

import gc
import json
from textwrap import indent

import pytest

from sglc.compiler.driver import compile_file
from sglc.runtime.job import Job, run_job
from sglc.runtime.planner.probe import beginnings
from sglc.runtime.row import BoundRow
from sglc.testing import Model

PROGRAMS = {
    "gen": 'user "{text}"\nassistant:\n    gen reply\nreturn reply',
    "typed": '"{text}"\ngen record: Record\nreturn record.why',
    "select": '"{text}"\nselect reply from ["y", "n"]\nreturn reply',
    "fork": '"{text}"\nfork item in ["a", "b"] as parts:\n    "{item}"\n    gen part\njoin parts\n'
    "gen reply\nreturn reply",
    "caught": '"{text}"\ngen reply\nlet n = try(int(reply), 1)\nwhile n < 3 max 5:\n'
    '    "{n}"\n    gen more\n    n = n + 1\nreturn reply',
    "called": 'let first = run inner(text)\n"{first}"\ngen reply\nreturn reply',
    "failed": '"{text}"\ngen reply\nrequire reply == text, "not {text}"\nreturn reply',
}
BEFORE = """\
type Record:
    score: int(0..9)
    why: str(max_length=5)

def inner(text: str) -> str:
    "So {text}"
    gen found
    return found
program answer(text: str) -> str:
"""


def compiled(body, model):
    return compile_file(None, BEFORE + indent(body, "    ") + "\n", spec=model.spec).plan


def answer(question):
    return {"score": 3, "why": "y"} if question.name.startswith("record") else "y"


@pytest.fixture
def no_search():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("body", PROGRAMS.values(), ids=PROGRAMS)
def test_rows_leave_no_cycles(tmp_path, no_search, body):
    model = Model(answer)
    plan = compiled(body, model)
    for place, num_rows in enumerate((400, 1200)):
        inputs, output = tmp_path / "in.jsonl", tmp_path / f"out{place}.jsonl"
        inputs.write_text("".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(num_rows)))
        gc.collect()
        job = Job(str(inputs), str(output))
        done = run_job(job, plan, model.spec, model.engine, externs={}, engine_options={})
        assert done.num_run == num_rows
    assert gc.collect() < 50  # of the run itself, and the first run loads what is loaded once


def test_looking_at_beginnings_leaves_no_cycle(no_search):
    model = Model(answer)
    plan = compiled(PROGRAMS["gen"], model)
    gc.collect()
    beginnings(plan, model.spec, [BoundRow(n, b"", {"text": f"row {n}"}) for n in range(100)])
    assert gc.collect() == 0
