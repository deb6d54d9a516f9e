"""Walking and rebuilding regions, generic over the ops.

`SHAPES` says for each op which fields hold its results, its operands and its regions; nothing else
here knows one op from another.
Law: rebuilding with functions that change nothing yields an equal region; fresh ids are above every
id of the function they were made for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Any

from sglc.ir import ops
from sglc.ir.module import Function, Module
from sglc.ir.ops import Op, Path, PathItem, Region, Terminator, Value
from sglc.ir.value_type import ValueType


@dataclass(frozen=True, slots=True)
class Shape:
    """Names of the fields that hold values and regions, in the order in which they are printed.
    A `path` is always an operand field and needs no mention."""

    results: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


SHAPES: dict[type, Shape] = {
    ops.Start: Shape(results=("result",)),
    ops.Append: Shape(results=("result",), operands=("context", "text")),
    ops.Control: Shape(results=("result",), operands=("context",)),
    ops.Open: Shape(results=("result",), operands=("context",)),
    ops.Close: Shape(results=("result",), operands=("context",)),
    ops.Gen: Shape(results=("result", "value", "metas"), operands=("context", "options", "piece")),
    ops.Select: Shape(
        results=("result", "value", "metas"), operands=("context", "choices", "temperature")
    ),
    ops.Capture: Shape(results=("result",), operands=("before", "after")),
    ops.Join: Shape(results=("result",), operands=("context", "base", "branches")),
    ops.Let: Shape(results=("result",), operands=("operands",)),
    ops.Extern: Shape(results=("result",), operands=("args",)),
    ops.Require: Shape(operands=("condition",), regions=("message",)),
    ops.If: Shape(results=("results",), operands=("condition",), regions=("then", "otherwise")),
    ops.For: Shape(results=("results",), operands=("items", "inits"), regions=("body",)),
    ops.While: Shape(results=("results",), operands=("limit", "inits"), regions=("test", "body")),
    ops.Fork: Shape(
        results=("group", "contexts"), operands=("context", "items"), regions=("body",)
    ),
    ops.Run: Shape(results=("result",), regions=("body",)),
    ops.Try: Shape(results=("results",), regions=("body", "handler")),
    ops.Scope: Shape(results=("results",), regions=("body",)),
    ops.Call: Shape(results=("context", "value"), operands=("source", "args", "defaults")),
}

_NESTING = frozenset(op for op, shape in SHAPES.items() if shape.regions)
_WITH_PATH = (ops.Gen, ops.Select, ops.Extern, ops.Call)
_RESULTS = {op: shape.results for op, shape in SHAPES.items()}
_OPERANDS = {op: shape.operands for op, shape in SHAPES.items()}
_READ = {op: (*names, "path") if op in _WITH_PATH else names for op, names in _OPERANDS.items()}

# ---------------------------------------------------------------- looking


def results(op: Op) -> tuple[Value, ...]:
    """The values that the op defines for what follows it."""
    names = _RESULTS[type(op)]
    if len(names) != 1:
        return _collect(op, names)
    found = getattr(op, names[0])
    return (found,) if found.__class__ is Value else found


def operands(op: Op) -> tuple[Value, ...]:
    """The values that the op itself uses, its path's included; those of its regions are not."""
    return _collect(op, _READ[type(op)])


def path_values(op: Op) -> tuple[Value, ...]:
    """The values in an op's path; none where it has no path."""
    return tuple(values_in(op.path)) if isinstance(op, _WITH_PATH) else ()


def regions(op: Op) -> tuple[Region, ...]:
    """The regions that an op holds, in order."""
    names = SHAPES[type(op)].regions
    return tuple([getattr(op, name) for name in names]) if names else ()


def walk(region: Region) -> Iterator[Op]:
    """Each op of the region and of those nested in it, an op before its regions."""
    for op in region.ops:
        yield op
        if type(op) in _NESTING:
            for inner in regions(op):
                yield from walk(inner)


def walk_regions(region: Region) -> Iterator[Region]:
    """The region itself and those nested in it."""
    yield region
    for op in region.ops:
        if type(op) in _NESTING:
            for inner in regions(op):
                yield from walk_regions(inner)


def definitions(region: Region) -> Iterator[Value]:
    """Each value defined in the region: arguments and results, nested ones included."""
    for inner in walk_regions(region):
        yield from inner.args
        for op in inner.ops:
            yield from results(op)


def uses(region: Region) -> Counter[int]:
    """How often each value id is used in the region, nested regions and terminators included."""
    counts: Counter[int] = Counter()
    for inner in walk_regions(region):
        counts.update(value.id for op in inner.ops for value in operands(op))
        counts.update(value.id for value in inner.end.values)
    return counts


def free_values(region: Region) -> dict[int, Value]:
    """The values, by id, that the region uses and does not define."""
    used: dict[int, Value] = {}
    for inner in walk_regions(region):
        used.update((v.id, v) for op in inner.ops for v in operands(op))
        used.update((v.id, v) for v in inner.end.values)
    for value in definitions(region):
        used.pop(value.id, None)
    return used


def jumps_inside(region: Region) -> set[type[Terminator]]:
    """The kinds of jump by which ops of the region leave it; its own end does not count."""
    return {kind for op in region.ops for kind in jumps_of(op)}


def jumps_of(op: Op) -> set[type[Terminator]]:
    """The kinds of jump by which the op may leave the region that it stands in."""
    found: set[type[Terminator]] = set()
    if type(op) not in _NESTING:
        return found
    for region in regions(op):
        found |= jumps_inside(region)
        if not isinstance(region.end, ops.Yield):
            found.add(type(region.end))
    if isinstance(op, ops.For | ops.While):
        found -= {ops.Continue, ops.Break}
    if isinstance(op, ops.Scope):
        found -= {ops.Leave}
    return found


def leaves_early(body: Region) -> bool:
    """Whether a `leave` of a function's or scope's body stands before its end."""
    return ops.Leave in jumps_inside(body)


# ---------------------------------------------------------------- rebuilding

ValueMap = Callable[[Value], Value]
RegionMap = Callable[[Region], Region]


def rebuild(
    op: Op,
    *,
    operand: ValueMap | None = None,
    path_item: Callable[[PathItem], PathItem] | None = None,
    result: ValueMap | None = None,
    region: RegionMap | None = None,
) -> Op:
    """The op with each operand, path item, result and region replaced by its image. Path items
    follow `operand` when `path_item` is not given."""
    kind = type(op)
    changes: dict[str, Any] = {}  # most ops of most passes stay as they are
    if operand is not None:
        _map_fields(op, _READ[kind] if path_item is None else _OPERANDS[kind], operand, changes)
    if path_item is not None and isinstance(op, _WITH_PATH):
        changes["path"] = tuple(map(path_item, op.path))
    if result is not None:
        _map_fields(op, _RESULTS[kind], result, changes)
    if region is not None and kind in _NESTING:
        for name in SHAPES[kind].regions:
            old = getattr(op, name)
            new = region(old)
            if new is not old:
                changes[name] = new
    return replace(op, **changes) if changes else op


def rebuild_end(end: Terminator, operand: ValueMap) -> Terminator:
    """The terminator with each of its values replaced; itself where none changes."""
    values = _map(end.values, operand)
    return end if values is end.values else replace(end, values=values)


def map_ops(region: Region, function: Callable[[Op], Iterable[Op]]) -> Region:
    """The region with each op replaced by the ops that `function` yields for it, the ops of nested
    regions first; the region itself where that changes nothing."""
    new: list[Op] = []
    for op in region.ops:
        new.extend(function(rebuild(op, region=lambda r: map_ops(r, function))))
    is_same = len(new) == len(region.ops) and all(map(is_, new, region.ops))
    return region if is_same else Region(region.args, tuple(new), region.end)


@dataclass(frozen=True, slots=True)
class Substitution:
    """What to put for values, by id. `rounds` gives path items that are known ints."""

    values: Mapping[int, Value]
    rounds: Mapping[int, int] = field(default_factory=dict)

    def value(self, value: Value) -> Value:
        return self.values.get(value.id, value)

    def path_item(self, item: PathItem) -> PathItem:
        if isinstance(item, int):
            return item
        known = self.rounds.get(item.id)
        return self.value(item) if known is None else known

    def op(self, op: Op) -> Op:
        return rebuild(op, operand=self.value, path_item=self.path_item, region=self.region)

    def region(self, region: Region) -> Region:
        new = tuple(map(self.op, region.ops))
        return Region(region.args, new, rebuild_end(region.end, self.value))


def prefix_paths(region: Region, prefix: Path) -> Region:
    """The region with `prefix` before each path."""

    def prefixed(op: Op) -> tuple[Op]:
        return (replace(op, path=(*prefix, *op.path)) if isinstance(op, _WITH_PATH) else op,)

    return map_ops(region, prefixed)


class FreshIds:
    """A source of values whose ids the function does not have."""

    def __init__(self, function: Function) -> None:
        self._next = 1 + max((value.id for value in definitions(function.body)), default=-1)

    def value(self, type: ValueType, name: str = "") -> Value:
        self._next += 1
        return Value(self._next - 1, type, name)

    def like(self, value: Value) -> Value:
        """A new value of the same type and name."""
        return self.value(value.type, value.name)


def clone(
    region: Region,
    fresh: FreshIds,
    values: Mapping[int, Value] | None = None,
    rounds: Mapping[int, int] | None = None,
) -> Region:
    """A copy that defines fresh values only, with `values` (and `rounds` in paths) put for those of
    these ids. Arguments that `values` replaces are dropped, so a body becomes code in place."""
    table = dict(values or {})
    given = set(table)
    for value in definitions(region):
        if value.id not in given:
            table[value.id] = fresh.like(value)
    substitution = Substitution(table, rounds or {})

    def copy_op(op: Op) -> Op:
        return rebuild(
            op,
            operand=substitution.value,
            path_item=substitution.path_item,
            result=substitution.value,
            region=copy_region,
        )

    def copy_region(inner: Region) -> Region:
        return Region(
            args=tuple(table[arg.id] for arg in inner.args if arg.id not in given),
            ops=tuple(map(copy_op, inner.ops)),
            end=rebuild_end(inner.end, substitution.value),
        )

    return copy_region(region)


def map_functions(module: Module, function: Callable[[Function], Function]) -> Module:
    """The module with each function, the program included, replaced by its image."""
    return replace(
        module,
        program=function(module.program),
        functions=tuple(map(function, module.functions)),
    )


def all_functions(module: Module) -> tuple[Function, ...]:
    """The program, then the fragments."""
    return (module.program, *module.functions)


def _collect(op: Op, names: tuple[str, ...]) -> tuple[Value, ...]:
    found: list[Value] = []
    for name in names:
        item = getattr(op, name)
        if item.__class__ is Value:
            found.append(item)
        elif item:
            _add_values(item, found)
    return tuple(found)


def values_in(item: Any) -> list[Value]:
    """The values in a field: one, none, a tuple of them, pairs of a name and one, or a piece's."""
    found: list[Value] = []
    _add_values(item, found)
    return found


# these are called for every field of every op, many times: classes are compared, since no value,
# tuple or piece is of a subclass


def _add_values(item: Any, found: list[Value]) -> None:
    kind = item.__class__
    if kind is Value:
        found.append(item)
    elif kind is tuple:
        for part in item:
            if part.__class__ is Value:
                found.append(part)
            else:
                _add_values(part, found)
    elif kind is ops.Piece:
        found.append(item.base)


def _map_fields(
    op: Op, names: tuple[str, ...], function: ValueMap, changes: dict[str, Any]
) -> None:
    for name in names:
        old = getattr(op, name)
        if old.__class__ is Value:
            new = function(old)
        elif old:
            new = _map(old, function)
        else:
            continue
        if new is not old:
            changes[name] = new


def _map(item: Any, function: ValueMap) -> Any:
    """The field with each value replaced by its image; the same object where none changes."""
    kind = item.__class__
    if kind is Value:
        return function(item)
    if kind is tuple:
        parts = tuple([_map(part, function) for part in item])
        return item if all(map(is_, parts, item)) else parts
    if kind is ops.Piece:
        base = function(item.base)
        return item if base is item.base else replace(item, base=base)
    return item
