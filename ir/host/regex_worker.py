"""What the process of `regex.py` runs: a line of JSON asks for a search, a line answers.

Run as a script, alone: it imports nothing of the package, so it starts in 20 ms.
Law: a search that takes more of the processor's time than its line allows ends the process by
SIGPROF, wherever in `re` it is.
"""

from __future__ import annotations

import json
import re
import signal
import sys


def spans(method: str, pattern: re.Pattern[str], text: str) -> list[tuple[tuple[int, int], ...]]:
    """For each match its span and those of its groups."""
    found = getattr(pattern, method)(text)
    if method == "finditer":
        return [match.regs for match in found]
    return [] if found is None else [found.regs]


def serve() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    for line in sys.stdin.buffer:
        seconds, method, pattern, text = json.loads(line)
        compiled = re.compile(pattern)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        found = spans(method, compiled, text)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    serve()
