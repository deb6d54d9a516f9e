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
from sglc.runtime.engine.request import Request


def answer(question: testing.Question) -> str:
    if "fail" in question.prompt:
        raise testing.NoAnswer("told to fail")
    return question.choices[0] if question.choices else str(len(question.prompt))


MODEL = testing.Model(answer)


class OneByOne(testing.ToldEngine):
    """Answers one request a step, each after `seconds`."""

    seconds = 0.0

    def due(self) -> list[Request]:
        time.sleep(self.seconds)
        return [*self._waiting][:1]


def use_testing_model(seconds: float) -> None:
    OneByOne.seconds = seconds
    opened = session.Session(MODEL.spec, lambda options: OneByOne(MODEL.answer))
    session.open_session = lambda name, progress=None: opened


if __name__ == "__main__":
    use_testing_model(float(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    command()
