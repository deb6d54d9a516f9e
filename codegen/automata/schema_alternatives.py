"""References and combinators of a JSON schema: a schema as a list of `Flat` alternatives.

`$ref` and `allOf` ask both of two schemas, `anyOf` and `oneOf` either; everything is multiplied out
until only alternatives are left. Each alternative of a `oneOf` must exclude the others, since a
value that two of them allow is not valid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from urllib.parse import unquote

from sglc.codegen.automata.schema_keywords import ANNOTATIONS, HOMES, list_at, own_keywords
from sglc.codegen.automata.schema_node import Flat, Place, Sub, both, same, type_of
from sglc.codegen.automata.source import ConstraintError, NotSupported
from sglc.ir.host.expr import Value

_MAX_ALTERNATIVES = 1000


@dataclass(frozen=True, slots=True)
class Document:
    """A whole schema, whose references are looked up in it."""

    root: Value

    def alternatives(self, sub: Sub) -> list[Flat]:
        """What a value may be so that all places of `sub` hold."""
        pointer = sub[0].pointer if sub else ""
        found = [Flat(pointer)]
        for place in sub:
            found = _product(found, self._of_place(place, ()), place)
        self._check_picked(found)
        return found

    def target(self, place: Place) -> Place | None:
        """The end of a schema that is only a reference, or None."""
        schema, seen = place.schema, [place.pointer]
        while isinstance(schema, dict) and "$ref" in schema:
            if not schema.keys() <= {"$ref"} | ANNOTATIONS | HOMES:
                return None
            place = self._look_up(place)
            if place.pointer in seen:
                raise ConstraintError("this reference leads to itself", pointer=place.pointer)
            seen.append(place.pointer)
            schema = place.schema
        return place if len(seen) > 1 else None

    def _of_place(self, place: Place, within: tuple[str, ...]) -> list[Flat]:
        """`within` are the pointers that are being looked at: a schema that needs itself to be
        known has no meaning."""
        schema = place.schema
        if isinstance(schema, bool):
            return [Flat(place.pointer)] if schema else []
        if not isinstance(schema, dict):
            raise ConstraintError("a schema is an object, true or false", pointer=place.pointer)
        if place.pointer in within:
            raise ConstraintError("this schema is defined by itself", pointer=place.pointer)
        within = (*within, place.pointer)
        found = [own_keywords(place)]
        if "$ref" in schema:
            found = _product(found, self._of_place(self._look_up(place), within), place)
        for i, inner in enumerate(list_at(place, "allOf")):
            found = _product(found, self._of_place(place.inner(inner, "allOf", i), within), place)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                found = _product(found, self._options(place, word, within), place)
        return found

    def _options(self, place: Place, word: str, within: tuple[str, ...]) -> list[Flat]:
        found = []
        for i, inner in enumerate(list_at(place, word)):
            option = self._of_place(place.inner(inner, word, i), within)
            if word == "oneOf":
                picked = (place.at(word), i)
                option = [replace(flat, picked=(*flat.picked, picked)) for flat in option]
            found += option
        return found

    def _look_up(self, place: Place) -> Place:
        assert isinstance(place.schema, dict)
        reference, at = place.schema["$ref"], place.at("$ref")
        if not isinstance(reference, str) or not (reference + "/").startswith("#/"):
            message = "a `$ref` is `#` or begins with `#/`: only places in this schema are known"
            raise NotSupported(message, pointer=at)
        found, pointer = self.root, ""
        for step in unquote(reference[2:]).split("/") if reference != "#" else ():
            key = step.replace("~1", "/").replace("~0", "~")
            pointer += "/" + step
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise ConstraintError(f"there is nothing at `{reference}`", pointer=at)
        return Place(found, pointer)

    def _check_picked(self, alternatives: list[Flat]) -> None:
        for a, b in combinations(alternatives, 2):
            others = dict(b.picked)
            for pointer, option in a.picked:
                if others.get(pointer, option) != option and not self._excludes(a, b, 3):
                    raise NotSupported(
                        f"the options {option} and {others[pointer]} of this `oneOf` may both hold:"
                        " they differ neither in type, nor in a bound, nor in a required property",
                        pointer=pointer,
                    )

    def _excludes(self, a: Flat, b: Flat, depth: int) -> bool:
        """Whether surely no value is both; `depth` limits how far into objects this looks."""
        types = _types(a) & _types(b)
        if a.values is not None and b.values is not None:
            return not any(same(value, other) for value in a.values for other in b.values)
        if types <= {"integer", "fraction"}:
            return not types or _are_apart(a, b)
        if types != {"object"} or not depth:
            return False
        return any(
            all(
                self._excludes(one, other, depth - 1)
                for one in self.alternatives(a.of_property(name))
                for other in self.alternatives(b.of_property(name))
            )
            for name in a.required
            if name in b.required
        )


def _types(flat: Flat) -> frozenset[str]:
    if flat.values is None:
        return flat.types
    return flat.types & {type_of(value) for value in flat.values}


def _are_apart(a: Flat, b: Flat) -> bool:
    """Whether one range of numbers ends before the other begins."""
    for one, other in ((a, b), (b, a)):
        for high, is_open in ((one.high, False), (one.below, True)):
            for low, is_also_open in ((other.low, False), (other.above, True)):
                if high is not None and low is not None:
                    touches = high == low and (is_open or is_also_open)
                    if high < low or touches:
                        return True
    return False


def _product(first: list[Flat], second: list[Flat], place: Place) -> list[Flat]:
    if len(first) * len(second) > _MAX_ALTERNATIVES:
        message = f"this schema has over {_MAX_ALTERNATIVES} alternatives when written out"
        raise NotSupported(message, pointer=place.pointer)
    return [both(a, b) for a in first for b in second]
