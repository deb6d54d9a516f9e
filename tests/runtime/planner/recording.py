"""What a run asked, as a problem for `least_recomputed.py`."""

from __future__ import annotations

from typing import Any

from least_recomputed import Asked, Piece

from sglc.runtime.engine.request import GenRequest, GenResult, Request, Result
from sglc.runtime.engine.tree import Handle
from sglc.runtime.planner.rehearsal import Rehearsal

Symbol = int | Handle  # a token of text, or all that a gen wrote
Path = tuple[Symbol, ...]


class Recording(Rehearsal):
    """Gens only. Keeps all contexts."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._asked: list[tuple[GenRequest, Path]] = []
        self._left: dict[GenRequest, Path] = {}  # where a gen ended
        self._ends: dict[object, Handle] = {}  # by the node that a gen left

    def submit(self, request: Request) -> None:
        assert isinstance(request, GenRequest) and isinstance(request.prefix, Handle)
        path: list[Symbol] = []
        for node in request.prefix.node.path():
            path += [self._ends[node]] if node.is_generated else node.tokens
        self._asked.append((request, tuple(path)))
        super().submit(request)

    def step(self) -> list[Result]:
        results = super().step()
        for result in results:
            assert isinstance(result, GenResult) and isinstance(result.prefix, Handle)
            self._ends[result.prefix.node] = result.prefix
            path = next(path for request, path in self._asked if request is result.request)
            self._left[result.request] = (*path, result.prefix)
        return results

    def problem(self) -> tuple[list[Piece], list[Asked]]:
        cuts = _cuts([path for _, path in self._asked])
        numbers: dict[Path, int] = {}
        pieces: list[Piece] = []

        def number_of(path: Path, begin: int) -> int:
            if path not in numbers:
                numbers[path] = len(pieces)
                last = path[-1]
                is_gen = isinstance(last, Handle)
                size = len(last.node.tokens) if isinstance(last, Handle) else len(path) - begin
                pieces.append(Piece(size, is_gen))
            return numbers[path]

        paths = []
        for _, path in self._asked:
            ends = [end for end in range(1, len(path) + 1) if path[:end] in cuts]
            begins = [0, *ends[:-1]]
            paths.append(
                tuple(number_of(path[:end], b) for b, end in zip(begins, ends, strict=True))
            )
        asked = [
            Asked(
                paths[place],
                request.sampling.max_tokens,
                numbers.get(self._left[request]),
                frozenset(
                    other
                    for other, (before, _) in enumerate(self._asked)
                    if _comes_before(before.order, request.order)
                ),
            )
            for place, (request, _) in enumerate(self._asked)
        ]
        return pieces, asked


def _cuts(paths: list[Path]) -> set[Path]:
    """Where nodes end: before and after what a gen wrote, where paths part, and where they end."""
    next_symbols: dict[Path, set[Symbol]] = {}
    cuts = set(paths)
    for path in paths:
        for place, symbol in enumerate(path):
            next_symbols.setdefault(path[:place], set()).add(symbol)
            if isinstance(symbol, Handle):
                cuts |= {path[:place], path[: place + 1]}
    return cuts | {path for path, symbols in next_symbols.items() if len(symbols) > 1}


def _comes_before(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether the request of order `one` must be answered first: both are of a row, and it stands
    before the other in the same task. Numbers of events and of branches take turns in an order."""
    if one[0] != other[0]:
        return False
    differing = [place for place, (x, y) in enumerate(zip(one, other, strict=False)) if x != y]
    first = differing[0] if differing else 0
    return first % 2 == 1 and one[first] < other[first]
