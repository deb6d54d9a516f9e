"""What a row begins with is found as the bytes that its first request has before it."""

from __future__ import annotations

import pytest

from sglc.compiler.driver import compile_file
from sglc.runtime.machine.machine import Machine
from sglc.runtime.planner.probe import MOST, beginnings
from sglc.runtime.row import BoundRow
from sglc.testing import Model, ToldEngine

TEXTS = [
    "",
    "short",
    "é 日本 text that goes on",
    "a document " * 40 + "one",
    "a document " * 40 + "two",
    "long" * MOST,
]
PROGRAMS = {
    "text": '    "{text}"\n    gen reply',
    "roles": '    system "Be brief."\n    user "Look at {text}, {text}!"\n'
    "    assistant:\n        gen reply",
    "branches": '    if len(text) > 9:\n        "long: "\n    "{text[:300]} and so on"\n'
    '    gen reply\n    "then {text}"\n    gen more',
    "computed": '    let kept = truncate(text, 40)\n    "{kept}: {tokens(kept)} of {len(text)} "\n'
    "    gen reply",
}


class FirstPrompts(ToldEngine):
    """Notes what stands before the first request of each row."""

    def __init__(self):
        super().__init__(lambda question: "y")
        self.prompts = {}

    def submit(self, request):
        self.prompts.setdefault(request.order[0], request.prefix.token_ids())
        super().submit(request)


@pytest.mark.parametrize("body", PROGRAMS.values(), ids=PROGRAMS)
def test_beginnings_are_those_of_the_first_requests(body):
    """With tokens that are bytes; control tokens have ids above those."""
    spec = Model({}).spec
    program = f"program answer(text: str) -> str:\n{body}\n    return reply\n"
    plan = compile_file(None, program, spec=spec).plan
    rows = [BoundRow(7 * place, b"", {"text": text}) for place, text in enumerate(TEXTS)]
    engine = FirstPrompts()
    machine = Machine(plan, spec, engine)
    for row in rows:
        machine.start(row)
    while machine.num_active:
        machine.step()
    found = beginnings(plan, spec, rows)
    assert found == {
        index: bytes(id & 255 for id in ids)[:MOST] for index, ids in engine.prompts.items()
    }
    assert list(found) == [row.index for row in rows]


def test_rows_that_ask_nothing_are_left_out():
    spec = Model({}).spec
    program = (
        "program answer(text: str) -> str:\n"
        '    require text != "", "empty"\n    "{text}"\n    gen reply\n    return reply\n'
    )
    plan = compile_file(None, program, spec=spec).plan
    rows = [BoundRow(0, b"", {"text": ""}), BoundRow(1, b"", {"text": "a"})]
    assert beginnings(plan, spec, rows) == {1: b"a"}
