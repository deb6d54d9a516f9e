"""The built-in pure functions: their signatures for the checker, their meaning for the evaluator.

Law: `FUNCTIONS` and `SIGNATURES` have the same names; `FUNCTIONS[f](env, *args, **kwargs)` raises
`HostError` for whatever it is given, a wrong number of arguments included.

Where a function takes `items`, it takes what a comprehension takes: a list, the characters of a
str, or the keys of a dict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sglc.ir.host import list_functions, number_functions, text_functions
from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import type_error
from sglc.ir.host.expr import Value


@dataclass(frozen=True, slots=True)
class Parameter:
    """`default` is what leaving out an optional parameter means, as the language spells it."""

    name: str
    default: str | None = None

    @property
    def is_optional(self) -> bool:
        return self.default is not None


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameters in order, each also by its name; with `is_variadic`, the last one takes any number
    of arguments, at least `least`, and none has a name. `doc` is one line for the reference."""

    params: tuple[Parameter, ...]
    doc: str
    is_variadic: bool = False
    least: int = 0

    def __str__(self) -> str:
        parts = [p.name if p.default is None else f"{p.name}={p.default}" for p in self.params]
        if self.is_variadic:
            parts[-1] = "*" + parts[-1]
        return f"({', '.join(parts)})"


def _signature(params: str, doc: str, *, least: int = 0) -> Signature:
    """From "text, separator=null" or "*items"."""
    is_variadic = params.startswith("*")
    names = params.lstrip("*").split(", ")
    pairs = (name.split("=", 1) for name in names)
    return Signature(tuple(Parameter(*pair) for pair in pairs), doc, is_variadic, least)


SIGNATURES: dict[str, Signature] = {
    "len": _signature("value", "characters of a str, items of a list, fields of a dict"),
    "str": _signature("value", "the text that `{value}` appends"),
    "int": _signature("value", "of a str of digits, a float (cut towards zero), a bool or an int"),
    "float": _signature("value", "of a str that spells a finite number, or of a number"),
    "bool": _signature("value", "Python's truth: false for null, 0 and what is empty"),
    "range": _signature("start, stop=null, step=1", "ints from start up to stop, stop excluded"),
    "zip": _signature("*items", "the first of each, the second of each... up to the shortest"),
    "enumerate": _signature("items, start=0", "pairs of a count and an item"),
    "min": _signature("*values", "the least of one list, or of several values", least=1),
    "max": _signature("*values", "the greatest of one list, or of several values", least=1),
    "sum": _signature("items, start=0", "numbers added from left to right"),
    "sorted": _signature("items, reverse=false", "in order; equal items keep theirs"),
    "reversed": _signature("items", "the last first"),
    "any": _signature("items", "whether one of them is true"),
    "all": _signature("items", "whether each of them is true"),
    "join": _signature('items, separator=""', "the items as text, with separator between them"),
    "split": _signature("text, separator=null, max=-1", "Python's: null splits at white space"),
    "strip": _signature(
        "text, chars=null", "without white space (or these characters) at the ends"
    ),
    "lower": _signature("text", "in lower case"),
    "upper": _signature("text", "in upper case"),
    "replace": _signature("text, old, new", "each `old` in it replaced by `new`"),
    "startswith": _signature("text, prefix", "whether it begins so"),
    "endswith": _signature("text, suffix", "whether it ends so"),
    "find": _signature(
        "pattern, text",
        "the first match of a regex anywhere: its first group, all of it without groups, or null",
    ),
    "match": _signature(
        "pattern, text",
        "the groups of a regex at the start of the text (without groups, all it matched), or null",
    ),
    "json": _signature("value", "compact JSON text, a str quoted"),
    "parse_json": _signature("text", "the value of a JSON text"),
    "majority": _signature("items", "the most frequent item; of several, the one that came first"),
    "argmax": _signature("items", "the place of the greatest item; of several, the first"),
    "first": _signature("items", "the first item"),
    "last": _signature("items", "the last item"),
    "unique": _signature("items", "each item once, where it came first"),
    "truncate": _signature("text, max_tokens", "the longest start of it that encodes to so many"),
    "tokens": _signature("text", "the number of tokens that it encodes to"),
}

_IMPLEMENTATIONS: dict[str, Callable[..., Value]] = {
    **list_functions.FUNCTIONS,
    **number_functions.FUNCTIONS,
    **text_functions.FUNCTIONS,
}


def bind(name: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> None:
    """Raise HostError unless the arguments fit the signature of the function."""
    signature = SIGNATURES[name]
    if signature.is_variadic:
        if kwargs:
            raise type_error(f"`{name}` takes no argument by name")
        if len(args) < signature.least:
            raise type_error(f"`{name}` needs an argument")
        return
    names = [p.name for p in signature.params]
    if len(args) > len(names):
        raise type_error(f"`{name}{signature}` got {len(args)} arguments")
    given = names[: len(args)]
    for keyword in kwargs:
        if keyword not in names:
            raise type_error(f"`{name}{signature}` has no argument `{keyword}`")
        if keyword in given:
            raise type_error(f"`{name}` got `{keyword}` twice")
    for parameter in signature.params:
        if not parameter.is_optional and parameter.name not in (*given, *kwargs):
            raise type_error(f"`{name}` needs its argument `{parameter.name}`")


def _checked(name: str) -> Callable[..., Value]:
    implementation = _IMPLEMENTATIONS[name]

    def call(env: HostEnv, *args: Value, **kwargs: Value) -> Value:
        bind(name, args, kwargs)
        return implementation(env, *args, **kwargs)

    return call


FUNCTIONS: dict[str, Callable[..., Value]] = {name: _checked(name) for name in SIGNATURES}
