"""The keywords of one schema object: what each says, and the error where it says nothing sensible.

Law: a keyword that is not known here is an error that names it; only annotations are passed over.
References and combinators are `schema_alternatives.py`'s.
"""

from __future__ import annotations

from sglc.codegen.automata.schema_node import ALL_TYPES, TYPES, Flat, Number, Place, Sub
from sglc.codegen.automata.source import ConstraintError, NotSupported
from sglc.ir.host.expr import Value

ANNOTATIONS = frozenset(
    (
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
    )
)
HOMES = frozenset(("$defs", "definitions"))  # of schemas that are referred to
COMBINATORS = frozenset(("$ref", "allOf", "anyOf", "oneOf"))
# the type of which each keyword speaks
_SPEAKS_OF = {
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
    "minLength": "string",
    "maxLength": "string",
    "pattern": "string",
    "format": "string",
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "additionalItems": "array",
    "minItems": "array",
    "maxItems": "array",
    "uniqueItems": "array",
}
_OTHERS = frozenset(("type", "enum", "const", "$id"))
SUPPORTED = frozenset(_SPEAKS_OF) | _OTHERS | COMBINATORS | HOMES | ANNOTATIONS


def own_keywords(place: Place) -> Flat:
    """What the keywords of an object say by themselves, combinators apart."""
    schema = place.schema
    assert isinstance(schema, dict)
    for name in schema:
        if name not in SUPPORTED:
            raise NotSupported(f"`{name}` is not supported", pointer=place.at(name))
    if place.pointer and "$id" in schema:
        raise NotSupported("`$id` is supported at the root only", pointer=place.at("$id"))
    multiple = _number(place, "multipleOf")
    types = _types(place)
    if multiple is not None:
        if multiple != 1:
            raise NotSupported(
                f"`multipleOf` is supported for 1 only, not {multiple}",
                pointer=place.at("multipleOf"),
            )
        types -= {"fraction"}
    if schema.get("uniqueItems", False) is not False:
        raise NotSupported("`uniqueItems` is not supported", pointer=place.at("uniqueItems"))
    prefix, items = _items(place)
    return Flat(
        pointer=place.pointer,
        types=types,
        hints=frozenset().union(*(TYPES[of] for name, of in _SPEAKS_OF.items() if name in schema)),
        values=_values(place),
        low=_number(place, "minimum"),
        high=_number(place, "maximum"),
        above=_number(place, "exclusiveMinimum"),
        below=_number(place, "exclusiveMaximum"),
        min_length=_count(place, "minLength") or 0,
        max_length=_count(place, "maxLength"),
        patterns=tuple((text, place.at("pattern")) for text in _text(place, "pattern")),
        formats=tuple((text, place.at("format")) for text in _text(place, "format")),
        properties={
            name: (place.inner(inner, "properties", name),)
            for name, inner in object_at(place, "properties").items()
        },
        required=_required(place),
        additional=_inner(place, "additionalProperties"),
        prefix=prefix,
        items=items,
        min_items=_count(place, "minItems") or 0,
        max_items=_count(place, "maxItems"),
    )


def object_at(place: Place, name: str) -> dict[str, Value]:
    """The object at a keyword; an empty one where the keyword is absent."""
    found = _at(place, name, {})
    if not isinstance(found, dict):
        raise ConstraintError(f"`{name}` is an object", pointer=place.at(name))
    return found


def list_at(place: Place, name: str) -> list[Value]:
    """The list at a keyword, not an empty one; [] where the keyword is absent."""
    found = _at(place, name, None)
    if found is None:
        return []
    if not isinstance(found, list) or not found:
        raise ConstraintError(f"`{name}` is a list of some items", pointer=place.at(name))
    return found


def _at(place: Place, name: str, default: Value) -> Value:
    assert isinstance(place.schema, dict)
    return place.schema.get(name, default)


def _types(place: Place) -> frozenset[str]:
    assert isinstance(place.schema, dict)
    if "type" not in place.schema:
        return ALL_TYPES
    given = place.schema["type"]
    names = given if isinstance(given, list) and given else [given]
    found: frozenset[str] = frozenset()
    for name in names:
        if not isinstance(name, str) or name not in TYPES:
            message = f"a `type` is one of {', '.join(TYPES)}"
            raise ConstraintError(message, pointer=place.at("type"))
        found |= TYPES[name]
    return found


def _values(place: Place) -> tuple[Value, ...] | None:
    assert isinstance(place.schema, dict)
    listed = tuple(list_at(place, "enum")) if "enum" in place.schema else None
    if "const" not in place.schema:
        return listed
    const = place.schema["const"]
    if listed is not None:
        raise NotSupported("`const` beside `enum`", pointer=place.at("const"))
    return (const,)


def _number(place: Place, name: str) -> Number | None:
    found = _at(place, name, None)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ConstraintError(f"`{name}` is a number", pointer=place.at(name))
    return found


def _count(place: Place, name: str) -> int | None:
    found = _number(place, name)
    if found is None:
        return None
    if found < 0 or found != int(found):
        raise ConstraintError(f"`{name}` is a whole number, 0 or more", pointer=place.at(name))
    return int(found)


def _text(place: Place, name: str) -> tuple[str, ...]:
    found = _at(place, name, None)
    if found is None:
        return ()
    if not isinstance(found, str):
        raise ConstraintError(f"`{name}` is a string", pointer=place.at(name))
    return (found,)


def _required(place: Place) -> tuple[str, ...]:
    found = _at(place, "required", [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ConstraintError("`required` is a list of names", pointer=place.at("required"))
    return tuple(dict.fromkeys(map(str, found)))


def _inner(place: Place, name: str) -> Sub | None:
    assert isinstance(place.schema, dict)
    return (place.inner(place.schema[name], name),) if name in place.schema else None


def _items(place: Place) -> tuple[tuple[Sub, ...], Sub | None]:
    """The items at the beginning and those behind them; draft 7 writes a list of `items` and
    `additionalItems` for what is now `prefixItems` and `items`."""
    first, rest = "prefixItems", "items"
    if isinstance(_at(place, "items", None), list):
        first, rest = "items", "additionalItems"
    elif _at(place, "additionalItems", None) is not None:
        message = "`additionalItems` goes with a list of `items`"
        raise ConstraintError(message, pointer=place.at("additionalItems"))
    prefix = [(place.inner(item, first, i),) for i, item in enumerate(list_at(place, first))]
    return tuple(prefix), _inner(place, rest)
