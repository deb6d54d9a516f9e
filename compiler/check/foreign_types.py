"""Types as other languages and libraries name them, and what is written here in their place."""

from __future__ import annotations

_JSON = "declare a `type` with its fields, or write `json`"
_LIST = "write `list[T]`, of what it holds"

# by the name in lower case
_SPELLED = {
    "any": "write `json`",
    "array": _LIST,
    "boolean": "write `bool`",
    "char": "write `str`",
    "dict": _JSON,
    "double": "write `float`",
    "enum": 'write the literals: `"a" | "b"`',
    "integer": "write `int`",
    "list": _LIST,
    "literal": 'write the literals: `"a" | "b"`',
    "map": _JSON,
    "number": "write `float`, or `int` for whole numbers",
    "object": _JSON,
    "optional": "for a value that may be null write `T?`",
    "sequence": _LIST,
    "set": _LIST,
    "string": "write `str`",
    "text": "write `str`",
    "tuple": _LIST,
}


def spelled_here(name: str) -> str | None:
    """What to write for a type called `name` elsewhere, as a sentence."""
    return _SPELLED.get(name.lower())
