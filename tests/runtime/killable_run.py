"""A run of a small plan on a slow testing engine, as a process that a test can kill.

    python killable_run.py INPUTS OUTPUT [SECONDS_A_STEP]

The plan appends the row's text and generates `answer`; the answer is a function of the prompt.
"""

import hashlib
import sys
import time

from sglc import testing
from sglc.codegen.instruction import Append, Gen, Return, Start
from sglc.codegen.plan import LengthBounds, Param, Plan
from sglc.ir.types import STR
from sglc.runtime.engine.request import Request
from sglc.runtime.job import Job, run_job

MODEL = testing.Model(lambda question: hashlib.sha256(question.prompt.encode()).hexdigest())


def small_plan() -> Plan:
    """program echo(text: str, note: str = "") -> str: "{text}"; gen answer; return answer"""
    code = (
        Start(2),
        Append(3, 2, 0),
        Gen(4, 5, 3, STR, (), (), (0,), False, "answer", None),
        Return(4, 5),
    )
    params = (
        Param("text", STR, 0, has_default=False),
        Param("note", STR, 1, has_default=True, default=""),
    )
    return Plan(
        program="echo",
        doc=None,
        params=params,
        result=STR,
        result_is_names=False,
        externs=(),
        code=code,
        num_regs=6,
        model=MODEL.spec.identity,
        markup=MODEL.spec.markup,
        constants=(),
        bounds=LengthBounds(1, None),
        sources=(),
        stages=(),
        ir="",
        compiler_version="test",
    )


class SlowEngine(testing.ToldEngine):
    """Answers a few requests a step, the latest first, and takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(MODEL.answer)
        self._seconds = seconds

    def due(self) -> list[Request]:
        time.sleep(self._seconds)
        return [*self._waiting][::-3]


if __name__ == "__main__":
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    done = run_job(
        Job(sys.argv[1], sys.argv[2], keep=("id",), window=16),
        small_plan(),
        MODEL.spec,
        lambda: SlowEngine(seconds),
        externs={},
        engine_options={},
    )
    print(done.num_run, done.num_rows, done.num_failed)
