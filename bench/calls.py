"""What somebody without sglc would ask of a model for the same rows: plain calls, from a record.

A call is a whole prompt. The pieces of a record are one call, as one writes a JSON object in one
go; requests that sglc merged are one call too, which is in the baselines' favour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sglc.bench.recording import Recorded
from sglc.runtime.engine.request import GenRequest, Sampling, ScoreRequest


@dataclass(frozen=True, slots=True)
class GenCall:
    """Write `num_tokens` tokens after `prompt`: as many as sglc sampled and appended for it.
    `sampling` are the program's options."""

    row: int
    wave: int
    prompt: tuple[int, ...]
    num_tokens: int
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class ScoreCall:
    """The log-probabilities of each of `choices` after `prompt`."""

    row: int
    wave: int
    prompt: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]


Call = GenCall | ScoreCall


def calls_of(recorded: Sequence[Recorded]) -> list[Call]:
    """The calls of a run's requests. Gens that were not answered, as of rows that failed, or wrote
    nothing, are none."""
    calls: list[Call] = []
    pieces: dict[tuple[int, str], list[Recorded]] = {}
    for each in recorded:
        request = each.request
        if isinstance(request, ScoreRequest):
            calls.append(ScoreCall(each.row, each.wave, tuple(each.prompt), request.choices))
        elif "." in request.name:
            record = (each.row, request.name.split(".")[0])
            pieces.setdefault(record, []).append(each)
        else:
            calls += _gen_calls(request, each, each.num_tokens)
    for of_record in pieces.values():
        for first, last in _chains(of_record):
            assert isinstance(first.request, GenRequest)
            # the text between the pieces is written, too
            num_tokens = len(last.prompt) - len(first.prompt) + last.num_tokens
            calls += _gen_calls(first.request, first, num_tokens)
    return calls


def waves_of(calls: Sequence[Call]) -> list[list[Call]]:
    """Calls that can be made together, earliest first."""
    last = max((call.wave for call in calls), default=-1)
    waves: list[list[Call]] = [[] for _ in range(last + 1)]
    for call in calls:
        waves[call.wave].append(call)
    return [wave for wave in waves if wave]


def _gen_calls(request: GenRequest, first: Recorded, num_tokens: int) -> list[Call]:
    if num_tokens <= 0:
        return []
    return [GenCall(first.row, first.wave, tuple(first.prompt), num_tokens, request.sampling)]


def _chains(pieces: Sequence[Recorded]) -> list[tuple[Recorded, Recorded]]:
    """The first and last piece of each record, in the order they were written: a piece goes on
    from the latest whose tokens its prompt begins with."""
    chains: list[tuple[Recorded, Recorded]] = []
    for piece in pieces:
        for place, (first, last) in enumerate(chains):
            if last.after and piece.prompt[: len(last.after)] == last.after:
                chains[place] = (first, piece)
                break
        else:
            chains.append((piece, piece))
    return chains
