"""`sglc` with a testing model in place of every model, as a process of its own.

    python run_cli.py SECONDS_A_STEP ARGUMENTS...

The model answers each gen with its prompt's length and each select with its first choice; a prompt
with "fail" in it gets no answer.
"""

import sys
import time

from sglc import testing
from sglc.cli import command
from sglc.runtime import session
from sglc.runtime.engine.request import Result


def answer(question: testing.Question) -> str:
    if "fail" in question.prompt:
        raise testing.NoAnswer("told to fail")
    return question.choices[0] if question.choices else str(len(question.prompt))


MODEL = testing.Model(answer)


class SlowEngine(testing.ToldEngine):
    """Answers one request a step."""

    def __init__(self, seconds: float) -> None:
        super().__init__(MODEL.answer)
        self._seconds = seconds

    def step(self) -> list[Result]:
        time.sleep(self._seconds)
        request = next(iter(self._waiting))
        del self._waiting[request]
        return [self.reply(request)]


def use_testing_model(seconds: float) -> None:
    opened = session.Session(MODEL.spec, lambda options: SlowEngine(seconds))
    session.open_session = lambda name, progress=None: opened


if __name__ == "__main__":
    use_testing_model(float(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    command()
