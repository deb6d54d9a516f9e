"""Compiled constraints as what a plan's file holds: a few JSON-like facts, and tensors.

Law: `unpack(pack(c))` is `c`, field by field; tensors of other types, shapes or with places that
lead outside are refused, so that what is read can be followed without looking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.constraint import ByteDfa, Grammar, TokenTable
from sglc.codegen.automata.expr import Rules
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.plan import PlanConstraint

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StoredTable:
    """`forced` and `completion` are of the states that have any."""

    source: ConstraintSource
    forced: tuple[tuple[int, tuple[int, ...]], ...]
    completion: tuple[tuple[int, str], ...]
    num_lead: int
    follow: str


@dataclass(frozen=True, slots=True)
class StoredGrammar:
    source: ConstraintSource
    rules: Rules
    ebnf: str
    version: str
    fewest_tokens: int
    num_lead: int
    follow: str


Stored = StoredTable | StoredGrammar


def pack(constraints: Sequence[PlanConstraint]) -> tuple[tuple[Stored, ...], Tensors]:
    """The facts of each constraint, and the tensors of all."""
    stored: list[Stored] = []
    tensors: dict[str, NDArray[Any]] = {}
    for index, constraint in enumerate(constraints):
        source, made = constraint.source, constraint.compiled
        if isinstance(made, TokenTable):
            forced = tuple((state, ids) for state, ids in enumerate(made.forced) if ids)
            ends = tuple((state, t) for state, t in enumerate(made.completion) if t is not None)
            stored.append(StoredTable(source, forced, ends, made.num_lead, made.follow))
            named = _table_tensors(made)
        else:
            stored.append(
                StoredGrammar(
                    source,
                    made.rules,
                    made.ebnf,
                    made.version,
                    made.fewest_tokens,
                    made.num_lead,
                    made.follow,
                )
            )
            named = {"serialized": np.frombuffer(made.serialized.encode(), np.uint8)}
        tensors |= {_name(index, name): array for name, array in named.items()}
    return tuple(stored), tensors


def unpack(stored: Sequence[Stored], tensors: Tensors) -> tuple[PlanConstraint, ...]:
    """Raises ValueError for tensors that are missing or do not fit."""
    return tuple(
        PlanConstraint(
            facts.source,
            _table(facts, index, tensors)
            if isinstance(facts, StoredTable)
            else _grammar(facts, index, tensors),
        )
        for index, facts in enumerate(stored)
    )


def _name(index: int, name: str) -> str:
    return f"constraints.{index}.{name}"


def _table_tensors(table: TokenTable) -> dict[str, NDArray[Any]]:
    return {
        "token_class": table.token_class,
        "next": table.next,
        "is_final": table.is_final,
        "distance": table.distance,
        "reach": table.reach,
        "dfa.classes": table.dfa.classes,
        "dfa.next": table.dfa.next,
        "dfa.is_final": table.dfa.is_final,
    }


def _table(facts: StoredTable, index: int, tensors: Tensors) -> TokenTable:
    def tensor(name: str, dtype: type[np.generic], *shape: int | None) -> NDArray[Any]:
        return _checked(tensors, _name(index, name), dtype, shape)

    edges = tensor("next", np.int16, None, None)
    num_states, num_classes = edges.shape
    dfa_edges = tensor("dfa.next", np.int32, None, None)
    dfa = ByteDfa(
        tensor("dfa.classes", np.uint8, 256),
        dfa_edges,
        tensor("dfa.is_final", np.bool_, len(dfa_edges)),
    )
    token_class = tensor("token_class", np.uint16, None)
    _check_below(token_class, num_classes)
    _check_below(edges, num_states)
    _check_below(dfa.classes, dfa_edges.shape[1])
    _check_below(dfa_edges, len(dfa_edges))
    forced: list[tuple[int, ...]] = [()] * num_states
    completion: list[str | None] = [None] * num_states
    for state, ids in facts.forced:
        forced[_state(state, num_states)] = ids
    for state, text in facts.completion:
        completion[_state(state, num_states)] = text
    return TokenTable(
        token_class,
        edges,
        tensor("is_final", np.bool_, num_states),
        tensor("distance", np.int32, num_states),
        tensor("reach", np.int32, num_states),
        tuple(forced),
        tuple(completion),
        dfa,
        facts.num_lead,
        facts.follow,
    )


def _grammar(facts: StoredGrammar, index: int, tensors: Tensors) -> Grammar:
    data = _checked(tensors, _name(index, "serialized"), np.uint8, (None,))
    return Grammar(
        facts.rules,
        facts.ebnf,
        data.tobytes().decode(),
        facts.version,
        facts.fewest_tokens,
        facts.num_lead,
        facts.follow,
    )


def _checked(
    tensors: Tensors, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]
) -> NDArray[Any]:
    """The tensor; None in `shape` is any size."""
    array = tensors.get(name)
    if array is None or array.dtype != dtype or len(array.shape) != len(shape):
        raise ValueError(f"no tensor `{name}` of this kind")
    if any(wanted not in (None, size) for wanted, size in zip(shape, array.shape, strict=True)):
        raise ValueError(f"the tensor `{name}` is of another shape")
    return array


def _check_below(places: NDArray[Any], end: int) -> None:
    if places.size and not (places.min() >= -1 and places.max() < end):
        raise ValueError("a place outside of its table")


def _state(state: int, num_states: int) -> int:
    if not 0 <= state < num_states:
        raise ValueError("a state that the table does not have")
    return state
